"""Rows by COPY are the rows that objects of Django would have become."""

import json

import pytest
from django.db import IntegrityError, connection, transaction

from annotation.image_sources import Stored
from annotation.importing import import_files
from annotation.importing.bulk import Table
from annotation.importing.record_writer import PROMPT_FIELDS
from annotation.models import Comparison, Image, Prompt
from tests.factories import make_image, make_project

pytestmark = pytest.mark.django_db

TEXTS = [
    'says "no", twice ""',
    "a\n\\.\nb",
    "\\N",
    "NULL",
    "a\tb\r\nc",
    "a, b; c",
    "\\x41 \\u0041 'quoted'",
    "\u200b\u0632\u0631\u0642 \U0001f600\u2028x",
    " padded ",
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_text_comes_back_as_it_went_in(text, tmp_path):
    image, project = make_image(), make_project()
    pair = {
        "id": "1",
        "image": image.sha256,
        "conversations": [{"from": "human", "value": f"<image>\n{text}"}],
        "captions": [text],
        "output_1": {"from": "m", "value": text},
        "output_2": {"from": "n", "value": f"{text}!"},
        "votes": {text: 2},
        "preference": 1,
    }
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([pair]))
    assert import_files(project, [path], Stored(Image.objects.all())).created == 1
    one = Comparison.objects.select_related("prompt").get()
    assert [one.response_1, one.response_2] == [text, f"{text}!"]
    assert (one.prompt.captions, one.imported_votes) == ([text], {text: 2})
    assert one.prompt.conversation[0]["value"] == f"<image>\n{text}"


def test_what_a_row_does_not_say_is_the_default_of_its_field():
    image, project = make_image(), make_project()
    about = {"external_id": "a", "conversation": [], "captions": [], "content_sha256": "c"}
    Prompt.objects.create(project=project, image=image, **about)
    table = Table(Prompt, ("project", "external_id", "image", "conversation", "content_sha256"))
    [key] = table.new_keys(1)
    table.write([(key, project.pk, "b", image.pk, [], "c")])
    made, copied = Prompt.objects.order_by("pk").values()
    differ = {name for name in made if made[name] != copied[name]}
    assert differ == {"id", "external_id", "created_at"}
    assert copied["id"] == key and copied["created_at"] >= made["created_at"]


def test_keys_are_new_and_what_breaks_a_constraint_is_refused():
    image, project = make_image(), make_project()
    table = Table(Prompt, PROMPT_FIELDS)
    first, second = table.new_keys(2)
    row = (project.pk, "a", image.pk, [], [], 1, 1.0, "c")
    table.write([(first, *row)])
    with pytest.raises(IntegrityError), transaction.atomic():
        table.write([(second, *row)])
    assert Prompt.objects.create(project=project, image=image, external_id="b", conversation=[]).pk
    assert table.new_keys(0) == [] and len({first, second, *table.new_keys(1)}) == 3


def _rows_looked_at(table, *question):
    """Rows that Postgres read for ``table.found``, those that it threw away included."""
    plans = []

    def explain(execute, sql, params, many, context):
        if sql.startswith("SELECT"):
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                plans.append(cursor.fetchone()[0][0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        table.found(*question)

    def rows(plan):
        thrown_away = plan.get("Rows Removed by Filter", 0)
        own = (plan["Actual Rows"] + thrown_away) * plan["Actual Loops"]
        return max([own, *map(rows, plan.get("Plans", []))])

    [plan] = plans
    return rows(plan)


@pytest.mark.parametrize("column", ["external_id", "content_sha256"])
def test_a_look_up_reads_no_more_rows_in_a_larger_project(column):
    """As in an import: the statistics are from before, when projects had a row each."""
    image, others = make_image(), [make_project() for _ in range(100)]
    names = ("project", "external_id", "image", "conversation", "captions", "content_sha256")
    table = Table(Prompt, names)

    def add(project, first, count):
        keys = table.new_keys(count)
        table.write(
            (key, project.pk, f"r{number}", image.pk, [], [], f"c{number}")
            for number, key in enumerate(keys, start=first)
        )

    for other in others:
        add(other, 0, 1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE annotation_prompt")
    project = make_project()
    add(project, 0, 20_000)
    wanted = [f"{column[0].replace('e', 'r')}{number}" for number in range(19_990, 20_050)]
    found = table.found(project.pk, column, wanted, "external_id")
    assert sorted(found) == [(f"r{number}",) for number in range(19_990, 20_000)]
    assert _rows_looked_at(table, project.pk, column, wanted, "external_id") <= len(wanted)
