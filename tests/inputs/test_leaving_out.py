"""One broken thing does not refuse ten thousand, if asked; each is named, counted and listed."""

import csv
import io
import json
import uuid
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from annotation import jobs
from annotation.image_sources import Folder
from annotation.importing import Options, import_files
from annotation.importing.captions import read_captions
from annotation.importing.record_files import ImportRefused
from annotation.models import Comparison, Image, ImportJob
from tests.annotation.importing.test_one_import import record
from tests.factories import make_member, make_project, picture_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.png").write_bytes(picture_bytes())
    (tmp_path / "broken.png").write_bytes(picture_bytes()[:50])
    return tmp_path


def run(folder, *lines, **options):
    path = folder / f"{uuid.uuid4().hex}.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return import_files(make_project(), [path], Folder(folder), options=Options(**options))


def long(number):
    return record(number, image="x" * 40_000)


UNUSABLE = {
    "a broken line": ("{oops", "", "is not JSON"),
    "no object": ("[1]", "", "is not an object"),
    "an empty answer": (record(2, output_1=" "), "output_1", "is empty"),
    "no image": ({**record(2), "image": None}, "image", "is missing"),
    "an absent image": (record(2, image="gone.png"), "image", "there is no gone.png"),
    "a long name": (long(2), "image", "is no name of an image"),
    "a broken image": (record(2, image="broken.png"), "image", "is broken or cut off"),
    "a name outside": (record(2, image="../a.png"), "image", "unsafe path"),
    "odd turns": (record(2, conversations=[{"from": "gpt", "value": "Hi."}]), "conversations", ""),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_cannot_be_used_refuses_all_or_is_left_out_by_name(folder, kind):
    bad, field, reason = UNUSABLE[kind]
    with pytest.raises(ImportRefused) as refused:
        run(folder, record(1), bad, record(3))
    [problem] = refused.value.problems
    assert (problem.line, Comparison.objects.count(), Image.objects.count()) == (2, 0, 0)
    assert field in problem.field and reason in problem.reason and len(str(problem)) < 200
    listed = io.StringIO()
    done = run(folder, record(1), bad, record(3), leave_out_unusable=True, left_out_to=listed)
    assert (done.created, done.left_out) == (2, 1)
    [warning] = [one for one in done.warnings if one.reason.startswith("left out: ")]
    assert warning.line == 2 and reason in warning.reason
    head, row = csv.reader(io.StringIO(listed.getvalue()))
    assert (head, row[1]) == (["file", "line", "field", "reason"], "2")


@pytest.mark.parametrize(
    ("end", "kept"),
    [("", 2), (", {oops}]", 2), (", ]", 2), ("] x", 2), (', {"id": "9"', 2)],
    ids=["cut between records", "a broken record", "a comma too many", "more behind it", "cut"],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_of_an_array_that_breaks_off_what_stands_before_may_be_kept(folder, end, kept, indent):
    text = json.dumps([record(1), record(2)], indent=indent).rstrip("]\n") + end
    with pytest.raises(ImportRefused, match="is not JSON"):
        run(folder, text)
    assert not Comparison.objects.exists()
    done = run(folder, text, leave_out_unusable=True)
    [warning] = [one.reason for one in done.warnings if one.reason.startswith("left out: ")]
    assert done.created == kept and "nothing from there on is read" in warning


def test_a_file_of_which_nothing_can_be_used_is_refused(folder):
    for options in ({"leave_out_unusable": True}, {"skip_missing_images": True}):
        with pytest.raises(ImportRefused) as refused:
            run(folder, record(1, image="gone.png"), record(2, image="gone.png"), **options)
        assert "all 2 lines: image there is no gone.png" in map(str, refused.value.problems)


def test_what_is_ambiguous_is_refused_even_then(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "b.png").write_bytes(picture_bytes())
    lines = [record(1, image="x/deep/b.png"), record(2, image="y/deep/b.png")]
    with pytest.raises(ImportRefused, match="both fit one file"):
        run(folder, *lines, leave_out_unusable=True)
    with pytest.raises(ImportRefused, match="is the id of line 1 too"):
        run(folder, record(1), record(1), leave_out_unusable=True)


def test_the_same_fault_on_many_lines_is_said_once(folder):
    bad = [record(n, output_1="") for n in range(1, 31)]
    with pytest.raises(ImportRefused) as refused:
        run(folder, *bad)
    assert [str(one) for one in refused.value.problems] == ["all 30 lines: output_1 is empty"]
    with pytest.raises(ImportRefused) as refused:
        run(folder, record(31), *bad)
    [problem] = refused.value.problems
    assert str(problem).startswith("line 2, output_1: is empty (the same in lines 3, 4 and 27 more")


def _zip(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in ("a.png", "broken.png"):
            file.write(folder / name, name)
    return SimpleUploadedFile("images.zip", buffer.getvalue())


def test_a_job_keeps_the_whole_list_for_page_and_rest(folder, client):
    project = make_project()
    manager = make_member(project, role="manager")
    lines = [record(1), *(record(n, image="broken.png") for n in range(2, 8)), "{oops"]
    text = "\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines)
    job = jobs.request_import(
        project,
        manager,
        name="pairs.jsonl",
        records=SimpleUploadedFile("pairs.jsonl", text.encode()),
        images=_zip(folder),
        leave_out_unusable=True,
    )
    jobs.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.created_count, job.left_out_count) == ("succeeded", 1, 7)
    assert job.joins[0] == {"what": "images", "found": 1, "of": 2}
    client.force_login(manager)
    for name in ("annotation:import-left-out", "annotation-api:import-left-out"):
        answer = client.get(reverse(name, args=[project.slug, job.pk]))
        rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
        assert [row[1] for row in rows[1:]] == ["8", "2", "3", "4", "5", "6", "7"]
    page = client.get(job.get_absolute_url()).content.decode()
    assert "7 left out" in page and "Images for 1 of 2" in page and "left-out/" in page
    seen = client.get(reverse("annotation-api:import", args=[project.slug, job.pk])).json()
    assert (seen["left_out_count"], seen["joins"][0]["of"]) == (7, 2)


def test_an_import_that_left_nothing_out_has_a_list_of_nothing(client):
    project = make_project()
    client.force_login(make_member(project, role="manager"))
    job = ImportJob.objects.create(project=project, name="pairs.jsonl")
    answer = client.get(reverse("annotation:import-left-out", args=[project.slug, job.pk]))
    assert b"".join(answer.streaming_content) == b"file,line,field,reason\r\n"


@pytest.mark.parametrize(
    ("captions", "found"),
    [
        ({"a.png": "A card."}, 1),
        ({"images\\a.png": ["A card."]}, 1),
        ({"other.png": "A card."}, 0),
    ],
)
def test_captions_say_for_how_many_images_or_refuse(folder, captions, found):
    path, beside = folder / "pairs.jsonl", folder / "captions.json"
    path.write_text(json.dumps(record(1, captions=[])))
    beside.write_text(json.dumps(captions))
    arguments = (make_project(), [path], Folder(folder))
    if not found:
        with pytest.raises(ImportRefused, match=r"for 0 of 1 images: it names other\.png"):
            import_files(*arguments, captions=beside)
        return
    done = import_files(*arguments, captions=beside)
    assert [str(join) for join in done.joins] == ["images for 1 of 1", "facts for 1 of 1"]
    assert Comparison.objects.get().prompt.captions == ["A card."]


BARS = "image_name| comment_number| comment"
PICTURES = ("a.png", "b.png")
CAPTION_FILES = {
    "an object": '{"a.png": "One.", "x/b.png": ["Two."]}',
    "JSON lines": '{"image": "a.png", "caption": "One."}\n{"image": "b.png", "caption": "Two."}',
    "an array": '[{"image": "a.png", "captions": ["One."]}, {"image": "b.png", "caption": "Two."}]',
    "CSV": "image,caption\na.png,One.\nb.png,Two.\n",
    "an image folder's metadata": '{"file_name": "a.png", "text": "One."}\n'
    '{"file_name": "b.png", "text": "Two."}',
    "a captioning tool's": '[{"image": "a.png", "description": "One.", "width": 8}, '
    '{"image": "b.png", "description": "Two.", "width": 8}]',
    "CSV of Excel": "\ufeffsep=;\r\nimage;caption\r\na.png;One.\r\nb.png;Two.\r\n",
    "CSV with several in a cell": 'filename,raw\na.png,"[""One.""]"\nb.png,"[""Two.""]"\n',
    "Flickr's tokens": "c.png#0\tThree.\na.png#0\tOne.\r\n\r\nb.png#0\tTwo.\r\n",
    "Flickr30k's results.csv": f"{BARS}\na.png| 0| One.\nb.png| 4   Two.",
    "Flickr30k with commas": 'image_name,comment_number,comment\na.png,0,One.\nb.png,0,"Two."\n',
    "Karpathy's splits": json.dumps(
        {
            "dataset": "flickr30k",
            "images": [
                {"filename": name, "split": "train", "sentences": [{"raw": text, "tokens": []}]}
                for name, text in zip(PICTURES, ("One.", "Two."), strict=True)
            ],
        }
    ),
    "TextCaps": json.dumps(
        {
            "dataset_type": "train",
            "data": [
                {"image_id": name, "image_path": f"train/{name}", "reference_strs": [text]}
                for name, text in zip(PICTURES, ("One.", "Two."), strict=True)
            ],
        }
    ),
    "an object of objects": json.dumps(
        {name: {"captions": [f"{n}."]} for name, n in zip(PICTURES, ("One", "Two"), strict=True)}
    ),
    "DOCCI": "\n".join(
        json.dumps({"type": "t", "split": "s", "image_file": name, "description": f"{n}."})
        for name, n in zip(PICTURES, ("One", "Two"), strict=True)
    ),
    "addresses": json.dumps(
        [
            {"url": f"https://h.org/{name}", "caption": f"{n}."}
            for name, n in zip(PICTURES, ("One", "Two"), strict=True)
        ]
    ),
    "COCO's annotations": json.dumps(
        {
            "info": {},
            "images": [{"id": n, "file_name": name} for n, name in enumerate(PICTURES)],
            "annotations": [
                {"id": 8, "image_id": 1, "caption": "Two."},
                {"id": 9, "image_id": 0, "caption": "One."},
            ],
        }
    ),
}


def with_captions(folder, text):
    for name in PICTURES:
        (folder / name).write_bytes(picture_bytes())
    path, beside = folder / "pairs.json", folder / "captions"
    lines = [record(n, image=name, captions=[]) for n, name in enumerate(PICTURES)]
    path.write_text(json.dumps(lines))
    beside.write_text(text)
    return import_files(make_project(), [path], Folder(folder), captions=beside)


def test_descriptions_of_regions_are_captions_of_the_picture_with_the_number():
    regions = [{"region_id": n, "image_id": 2, "phrase": text} for n, text in enumerate("ab")]
    pictures = [{"id": 2, "regions": regions}, {"regions": [{"image_id": 3, "phrase": "c"}]}, {}]
    problems: list = []
    found = read_captions(io.BytesIO(json.dumps(pictures).encode()), problems)
    assert found == {"2.jpg": ["a", "b"], "3.jpg": ["c"]}
    assert [(one.line, one.reason) for one in problems] == [(3, "is not a picture with regions")]


@pytest.mark.parametrize("form", CAPTION_FILES)
def test_captions_are_read_in_the_forms_that_exist(tmp_path, form):
    with_captions(tmp_path, CAPTION_FILES[form])
    found = Comparison.objects.order_by("external_id").values_list("prompt__captions", flat=True)
    assert list(found) == [["One."], ["Two."]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"image": "a.png", "caption": "One."}\n{oops', "captions, line 2: is not JSON"),
        ('[{"image": "a.png", "caption": "One."}, {"image": 3}]', "line 2: is not an object with"),
        ('[{"image": "a.png", "caption": 7}]', "a.png: is neither a text nor a list"),
        ('{"a.png": " "}', "a.png: is empty"),
        ("\n", "captions, the file: is empty"),
        ("z.png#0\tOne.", "for 0 of 2 images: it names z.png"),
        ("a.png#0\tOne.\nb.png Two.", "captions, line 2: is not an image, a number and a caption"),
        (
            f"{BARS}\nb.png",
            "captions, line 2: is not an image, a number",
        ),
        (f"{BARS}\n", "captions, the file: holds no captions"),
        ('{"a.png": "One."\n "b.png": 1}', "captions, the file: is not JSON"),
        ("[1, 2]", "nor records with image and caption"),
        (
            '[{"question_id": 1, "image": "a.png", "text": "Is there a dog?", "label": "no"}]',
            "nor records with image and caption",
        ),
        ('{"A.PNG": "x"}', "it names A.PNG, the records a.png; but there are some for A.PNG"),
        ('{"a.png": "x", "./a.png": "y"}', "a.png fits several captions"),
        ('{"images": [{"id": 1}], "annotations": [{"image_id": 2}]}', "not the name of an image"),
    ],
)
def test_captions_at_fault_are_refused_in_words(tmp_path, text, reason):
    with pytest.raises(ImportRefused) as refused:
        with_captions(tmp_path, text)
    assert any(reason in str(one) for one in refused.value.problems)


def test_a_near_name_is_said_of_images_without_captions(tmp_path):
    done = with_captions(tmp_path, '{"./a.png": "One.", "B.png": "Two."}')
    [said] = [str(one) for one in done.warnings]
    assert "for 1 of 2 images" in said and "b.png (line 2; but there are some for B.png)" in said


@pytest.mark.parametrize("options", [{}, {"skip_missing_images": True}])
def test_what_is_wrong_with_records_and_pictures_is_said_in_one_go(folder, options):
    lines = [
        record(1),
        record(2, output_1=""),
        record(3, image="broken.png"),
        record(4, image="gone.png"),
        record(5),
        record(6, id="r5"),
    ]
    with pytest.raises(ImportRefused) as refused:
        run(folder, *lines, **options)
    said = [(one.line, one.field) for one in refused.value.problems]
    missing = [] if options else [(4, "image")]  # asked to be left out, so no fault
    assert sorted(said) == sorted([(2, "output_1"), (3, "image"), *missing, (6, "id")])
    assert not Image.objects.exists() and not Comparison.objects.exists()
