"""Files of the forms that exist, from the form of the page to what people then see."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation import jobs
from annotation.models import Comparison, ImportJob, Project, Prompt
from tests import factories
from tests.browser.conftest import Visitor
from tests.factories import picture_bytes
from tests.shared import shared_data

pytestmark = pytest.mark.django_db(transaction=True)
CHOSEN, REJECTED = "A black cup.", "Two white cups and a cat."


@pytest.fixture
def project() -> Project:
    return factories.make_project(slug="street")


@pytest.fixture
def page(visit: Visitor, project: Project) -> Page:
    manager = factories.make_member(project, role="manager")
    return visit.page(manager, f"/projects/{project.slug}/imports/")


def upload(page: Page, *, format: str, **fields: Path | bool) -> ImportJob:
    """Fills the form in and sends it; a worker's work is then done here, as a worker does it."""
    page.locator("select[name=format]").select_option(format)
    for name, value in fields.items():
        field = page.locator(f"input[name={name}]")
        field.set_checked(value) if isinstance(value, bool) else field.set_input_files(value)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("#import-job")).to_be_visible()
    job = ImportJob.objects.latest("pk")
    jobs.run_import(job.pk)
    job.refresh_from_db()
    return job


def zipped(path: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return path


def written(path: Path, records: list[dict[str, Any]], *, lines: bool = True) -> Path:
    texts = [json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(texts) if lines else f"[{','.join(texts)}]", encoding="utf-8")
    return path


def llava_150k() -> list[dict[str, Any]]:
    """Conversation, detail and complex of one picture, as LLaVA publishes them: one id."""
    asked = ["What is on the desk?", "Describe the desk.\n", "Why may somebody need it?"]
    return [
        {
            "id": "000000033471",
            "image": "000000033471.jpg",
            "conversations": [
                {"from": "human", "value": f"{question}\n<image>"},
                {"from": "gpt", "value": "A cup."},
            ],
        }
        for question in asked
    ]


def rlhf_v() -> list[dict[str, Any]]:
    text = json.dumps({"question": "What is there?", "chosen": CHOSEN, "rejected": REJECTED})
    row = {"ds_name": "RLHF-V", "image_path": "llava1/0.jpg", "origin_dataset": "LCS-558K"}
    return [
        {**row, "text": text, "idx": None},
        {**row, "question": "What colour?", "chosen": CHOSEN, "rejected": REJECTED, "idx": None},
    ]


def vl_rewardbench() -> list[dict[str, Any]]:
    row = {"id": "mathverse_1", "image_path": "images/m/1.png", "query": "What is shown?"}
    return [
        {**row, "response": [CHOSEN, REJECTED], "human_ranking": [0, 1], "models": ["a", "b"]},
        {
            **row,
            "response": [REJECTED, "A cup.</s>"],
            "human_ranking": [1, 0],
            "models": ["c", "d"],
        },
    ]


FORMS: dict[str, tuple[str, Callable[[], list[dict[str, Any]]], str, int]] = {
    "LLaVA-150k": ("llava", llava_150k, "train2017/000000033471.jpg", 3),
    "RLHF-V": ("rlhf_v", rlhf_v, "llava1/0.jpg", 2),
    "VL-RewardBench": ("rlhf_v", vl_rewardbench, "vlrb/images/m/1.png", 2),
}


def test_each_form_goes_from_the_page_to_what_people_see(page: Page, tmp_path: Path) -> None:
    for form, (format, records, picture, count) in FORMS.items():
        Comparison.objects.all().delete()
        Prompt.objects.all().delete()
        page.goto("/projects/street/imports/")
        archive = zipped(tmp_path / "p.zip", {picture: picture_bytes()})
        job = upload(
            page,
            format=format,
            records=written(tmp_path / f"{format}.json", records(), lines=format != "llava"),
            images=archive,
        )
        assert job.state == "succeeded", (form, job.problems)
        expect(page.get_by_text(f"Imported: {count} new")).to_be_visible()
        expect(page.get_by_text("Images for 1 of 1")).to_be_visible()
        if form == "LLaVA-150k":
            assert Prompt.objects.count() == count
            continue
        assert Comparison.objects.count() == count
        for one in Comparison.objects.all():
            better = (one.response_1, one.response_2)[(one.preference or 0) - 1]
            assert better in (CHOSEN, "A cup.</s>")
        page.goto(Comparison.objects.earliest("pk").get_absolute_url())
        expect(page.get_by_text(CHOSEN).first).to_be_visible()
        assert page.locator("img").first.evaluate("image => image.decode().then(() => true)")


def test_what_is_refused_is_said_and_may_be_left_out(page: Page, tmp_path: Path) -> None:
    good = rlhf_v()
    rows = [*good, {**good[1], "rejected": " "}, {**good[1], "image_path": "no.jpg"}]
    path = written(tmp_path / "rows.jsonl", rows)
    archive = zipped(tmp_path / "p.zip", {"llava1/0.jpg": picture_bytes()})
    assert upload(page, format="rlhf_v", records=path, images=archive).state == "failed"
    expect(page.get_by_text("Refused: nothing was imported")).to_be_visible()
    expect(page.get_by_text("is empty")).to_be_visible()
    page.goto("/projects/street/imports/")
    job = upload(page, format="rlhf_v", records=path, images=archive, leave_out_unusable=True)
    expect(page.get_by_text("Imported: 2 new, 0 there already, 2 left out")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download what was left out (CSV)").click()
    text = download.value.path().read_text()
    assert "there is no no.jpg" in text and "is empty" in text and job.left_out_count == 2


def test_what_is_written_from_the_right_is_shown_so_and_turns_nothing_round(
    visit: Visitor, project: Project
) -> None:
    arabic, override = "\u0633\u064a\u0627\u0631\u0629 Toyota.", "A \u202egod\u202c runs."
    comparison = factories.make_comparison(project, response_1=arabic, response_2=override)
    annotator = factories.make_member(project)
    manager = factories.make_member(project, role="manager")
    pages = (
        (annotator, f"/projects/{project.slug}/label/"),
        (manager, comparison.get_absolute_url()),
    )
    for person, path in pages:
        page = visit.page(person, path)
        texts = page.locator(".response-text")
        expect(texts).to_have_count(2)
        found = texts.evaluate_all(
            "all => all.map((one) => [one.textContent, getComputedStyle(one).direction])"
        )
        assert sorted(found) == sorted([[arabic, "rtl"], [override, "ltr"]])
        controls = page.locator(".bidi-control")
        assert controls.evaluate_all("all => all.map((one) => one.dataset.name)") == ["RLO", "PDF"]
        places = page.evaluate(
            """() => {
              const element = document.querySelector(".bidi-control").nextSibling;
              return [0, 1, 2].map((at) => {
                const range = document.createRange();
                range.setStart(element, at);
                range.setEnd(element, at + 1);
                return range.getBoundingClientRect().left;
              });
            }"""
        )
        assert places == sorted(places)  # g, o, d, and not the other way round


# --- Real files ----------------------------------------------------------------------------------


def test_the_photographs_of_mmhal_bench_come_in_from_the_page(page: Page, tmp_path: Path) -> None:
    folder = shared_data("mmhal_bench")
    pictures = sorted((folder / "images").iterdir())
    archive = zipped(tmp_path / "p.zip", {one.name: one.read_bytes() for one in pictures})
    one, two = sorted((folder / "responses").glob("*.json"))[:2]
    job = upload(
        page,
        format="mmhal",
        records=one,
        second_records=two,
        images=archive,
        leave_out_unusable=True,
    )
    assert (job.state, job.created_count) == ("succeeded", len(pictures)), job.problems
    expect(page.get_by_text(f"Images for {len(pictures)} of 96")).to_be_visible()
    assert job.left_out_count == 96 - len(pictures)


def test_all_rows_of_vl_rewardbench_come_in_from_the_page(page: Page, tmp_path: Path) -> None:
    path = shared_data("vl_rewardbench", "data.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = sorted({row["image_path"] for row in rows})
    pictures = {name: picture_bytes(colour=(n % 256, n // 256, 9)) for n, name in enumerate(names)}
    archive = zipped(tmp_path / "p.zip", pictures)
    job = upload(page, format="rlhf_v", records=path, images=archive)
    assert (job.state, job.created_count) == ("succeeded", len(rows)), job.problems[:3]
    assert Comparison.objects.filter(preference__isnull=False).count() == len(rows)
    expect(page.get_by_text("ends with a special token").first).to_be_visible()
