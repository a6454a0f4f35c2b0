"""The command line: what it does, and how it fails."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from annotation.models import ApiToken, Comparison, Membership, Prompt, Release
from tests.annotation.importing.test_one_import import record
from tests.factories import judge, make_comparison, make_project, make_user, picture_bytes

pytestmark = pytest.mark.django_db


def run(*arguments):
    output, errors = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=output, stderr=errors)
    return output.getvalue(), errors.getvalue()


def written(folder, *records, name="pairs.jsonl"):
    path = folder / name
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records))
    return str(path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.png").write_bytes(picture_bytes())
    return tmp_path


def test_import_says_what_it_did(folder):
    project = make_project()
    path = written(folder, record(1, output_1="I am GPT-4."), record(2, image="gone.png"))
    arguments = ("import_comparisons", project.slug, path, "--images", str(folder))
    output, errors = run(*arguments, "--skip-missing-images")
    assert output.splitlines() == [
        "1 created, 0 unchanged, 1 left out",
        "images for 1 of 2",
        "facts for 1 of 1",
    ]
    assert "warning: line 1, output_1: names a model: GPT-4" in errors
    assert "warning: line 2, image: left out: there is no gone.png" in errors
    assert Comparison.objects.get().source == "pairs.jsonl"


BAD_FILES = {
    "not JSON": ([record(1), "{oops"], "line 2: is not JSON"),
    "no output_2": ([{**record(1), "output_2": None}], "line 1, output_2: is missing"),
    "broken image": ([record(1, image="b.png")], "line 1, image: b.png is not a PNG"),
    "missing image": ([record(1, image="c.png")], "line 1, image: there is no c.png"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_import_refuses_a_bad_file_whole(folder, name):
    records, message = BAD_FILES[name]
    (folder / "b.png").write_bytes(b"broken")
    path = written(folder, record(9), *records)
    number = int(message.split("line ")[1][0]) + 1
    expected = message.replace(f"line {number - 1}", f"line {number}")
    with pytest.raises(CommandError, match="nothing was imported") as refused:
        run("import_comparisons", make_project().slug, path, "--images", str(folder))
    assert expected in str(refused.value)
    assert not Comparison.objects.exists()


def test_import_names_an_unknown_project_or_file(folder):
    with pytest.raises(CommandError, match="there is no project 'nowhere'"):
        run("import_comparisons", "nowhere", written(folder, record(1)))
    with pytest.raises(CommandError, match="there is no file"):
        run("import_comparisons", make_project().slug, str(folder / "none.jsonl"))
    with pytest.raises(CommandError, match="there is no folder or archive"):
        run(
            "import_comparisons",
            make_project().slug,
            written(folder, record(1)),
            "--images",
            str(folder / "none"),
        )


def test_import_compares_two_answer_files(folder):
    answer = {"question": "What?", "image_src": "http://x/a.png", "model_answer": "Red."}
    first = written(folder, answer, name="one.json")
    second = written(folder, {**answer, "model_answer": "Blue."}, name="two.json")
    project = make_project()
    output, _ = run("import_comparisons", project.slug, first, second, "--images", str(folder))
    assert output.startswith("1 created")
    with pytest.raises(CommandError, match="takes 1 file"):
        run("import_comparisons", project.slug, first, second, "--format", "llava_rlhf")


def test_import_takes_prompts(folder):
    prompt = {key: value for key, value in record(1).items() if not key.startswith("output")}
    path = written(folder, prompt)
    arguments = ("import_comparisons", make_project().slug, path, "--images", str(folder))
    run(*arguments, "--format", "prompts")
    assert Prompt.objects.count() == 1


def test_a_release_is_made_and_written(tmp_path):
    project = make_project(k=1)
    judge(make_comparison(project))
    output, _ = run("make_release", project.slug, "--held-out-share", "0")
    release = Release.objects.get()
    assert output.startswith(f"release {release.pk} (number 1): 1 preferences")
    assert f"sha256 {release.sha256}" in output
    run("export_release", str(release.pk), "--output", str(tmp_path))
    (line,) = (tmp_path / "train.jsonl").read_text().splitlines()
    image = json.loads(line)["image"]
    assert (tmp_path / "images" / image).exists()
    assert image in json.loads((tmp_path / "image_to_caption.json").read_text())
    run("export_release", str(release.pk), "--output", str(tmp_path), "--format", "csv")
    assert (tmp_path / "train.csv").read_text().startswith("id,split,image")


def test_a_release_of_nothing_is_refused(tmp_path):
    project = make_project()
    make_comparison(project)
    with pytest.raises(CommandError, match="is decided yet"):
        run("make_release", project.slug)
    with pytest.raises(CommandError, match="there is no project"):
        run("make_release", "nowhere")
    with pytest.raises(CommandError, match="there is no release 99"):
        run("export_release", "99", "--output", str(tmp_path))


def test_a_token_is_printed_once_and_works():
    user = make_user("ada")
    output, _ = run("create_token", "ada", "--scopes", "read")
    raw = output.strip()
    assert ApiToken.objects.get().scopes == ["read"]
    client = Client(headers={"Authorization": f"Bearer {raw}"})
    assert client.get("/api/v1/projects").status_code == 200
    assert user.api_tokens.count() == 1
    with pytest.raises(CommandError, match="there is no user 'bob'"):
        run("create_token", "bob")


def test_a_member_is_made_with_a_password_that_works():
    project = make_project()
    output, _ = run("create_member", project.slug, "ada", "--role", "reviewer")
    password = output.splitlines()[0].split(": ")[1]
    membership = Membership.objects.get()
    assert membership.role == "reviewer"
    assert membership.user.check_password(password)
    again, _ = run("create_member", project.slug, "ada", "--role", "manager")
    assert "password" not in again
    assert Membership.objects.get().role == "manager"
