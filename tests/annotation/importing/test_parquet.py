"""Parquet files in: rows with their images, each fault by its row, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from annotation.image_sources import Folder, Stored
from annotation.importing import Imported, import_files, parquet
from annotation.importing.record_files import ImportRefused
from annotation.models import Comparison, Image, Project
from tests.factories import make_project, picture_bytes

pyarrow = pytest.importorskip("pyarrow")
writing = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.django_db
RED, BLUE = picture_bytes(colour=(250, 1, 1)), picture_bytes(colour=(1, 1, 250))


def row(number: int, image: Any, **fields: Any) -> dict[str, Any]:
    """As RLAIF-V publishes its rows."""
    return {
        "ds_name": "RLAIF-V",
        "image": image,
        "question": f"What is shown in {number}?",
        "chosen": f"A red circle, {number}.",
        "rejected": f"A blue square, {number}.",
        "origin_dataset": "coco",
        "origin_split": '{"model": "llava-13b"}',
        "idx": number,
        "image_path": f"images/{number}.png",
        **fields,
    }


@pytest.fixture
def project() -> Project:
    return make_project(k=1)


@pytest.fixture
def run(project: Project, tmp_path: Path) -> Any:
    def run_it(*rows: dict[str, Any], images: Any = None) -> Imported:
        path = tmp_path / "rows.parquet"
        writing.write_table(pyarrow.Table.from_pylist(list(rows)), path, compression="ZSTD")
        return import_files(project, [path], images or Stored(Image.objects.all()), format="rlhf_v")

    return run_it


def problems(error: pytest.ExceptionInfo[ImportRefused]) -> list[tuple[int, str]]:
    return [(one.line, f"{one.field} {one.reason}".strip()) for one in error.value.problems]


def test_rows_come_with_their_images_and_labels(run: Any) -> None:
    done = run(
        row(1, {"bytes": RED, "path": "one.png"}),
        row(2, {"bytes": BLUE, "path": None}),
        row(3, {"bytes": RED, "path": "three.png"}),
    )
    assert (done.created, done.unchanged) == (3, 0)
    assert Image.objects.count() == 2
    one = Comparison.objects.get(external_id="RLAIF-V-1")
    better = {1: one.response_1, 2: one.response_2}[one.preference]
    assert (better, one.model_1) == ("A red circle, 1.", "llava-13b")
    three = Comparison.objects.get(external_id="RLAIF-V-3")
    assert three.prompt.image == one.prompt.image


def test_texts_that_are_stored_as_bytes_are_texts(run: Any) -> None:
    """As Spark writes them."""
    about = row(1, RED)
    bare = {n: v.encode() if isinstance(v, str) else v for n, v in about.items() if n != "image"}
    assert run({**bare, "image": RED}).created == 1
    one = Comparison.objects.get()
    assert {one.response_1, one.response_2} == {about["chosen"], about["rejected"]}
    assert about["question"] in one.prompt.conversation[0]["value"]


def test_importing_it_again_changes_nothing(run: Any) -> None:
    rows = [row(1, {"bytes": RED, "path": "a.png"}), row(2, {"bytes": BLUE, "path": "b.png"})]
    assert run(*rows).created == 2
    assert (run(*rows).created, run(*rows).unchanged) == (0, 2)


def test_texts_inside_one_and_bare_bytes_are_read(run: Any) -> None:
    """As RLHF-V publishes its rows."""
    texts = {name: row(7, None)[name] for name in ("question", "chosen", "rejected")}
    bare = {"ds_name": "RLHF-V", "image": RED, "text": json.dumps(texts), "idx": 7}
    assert run(bare).created == 1
    assert Comparison.objects.get().external_id == "RLHF-V-7"


def test_names_of_images_are_looked_up_beside_the_file(run: Any, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(RED)
    assert run(row(1, "1.png"), images=Folder(tmp_path)).created == 1


def test_every_fault_is_told_by_its_row(run: Any) -> None:
    with pytest.raises(ImportRefused) as text:
        run(
            row(1, {"bytes": RED, "path": None}),
            row(2, {"bytes": RED, "path": None}, chosen=" "),
            row(3, {"bytes": RED, "path": None}, rejected=None),
        )
    assert problems(text) == [(2, "chosen is empty"), (3, "rejected is missing")]
    with pytest.raises(ImportRefused) as image:
        run(row(1, {"bytes": RED, "path": None}), row(2, {"bytes": b"<svg/>", "path": "../x.svg"}))
    [(line, reason)] = problems(image)
    assert line == 2
    assert reason.endswith("x.svg is not a PNG, JPEG, WebP or GIF picture but an SVG drawing")
    assert not Comparison.objects.exists()
    assert not Image.objects.exists()


def test_a_row_that_is_too_long_is_told_by_its_number(run: Any) -> None:
    with pytest.raises(ImportRefused) as refused:
        run(row(1, {"bytes": RED, "path": None}), row(2, None, chosen="long " * 1_000_000))
    assert problems(refused) == [(2, "is longer than 4 MiB")]


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused(project: Project, tmp_path: Path, keep: float) -> None:
    path = tmp_path / "rows.parquet"
    rows = [row(number, {"bytes": RED, "path": None}) for number in range(50)]
    writing.write_table(pyarrow.Table.from_pylist(rows), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(ImportRefused, match="as Parquet from its beginning: it is damaged"):
        import_files(project, [path], Stored(Image.objects.all()), format="rlhf_v")


def test_a_file_that_unpacks_to_far_more_than_it_is_is_refused(run: Any) -> None:
    bomb = [row(n, {"bytes": bytes([n]) * 15_000_000, "path": None}) for n in range(8)]
    with pytest.raises(ImportRefused, match="unpacks to more than 10 times"):
        run(*bomb)


def test_without_pyarrow_the_import_says_what_to_install(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportRefused, match=r"pip install 'factloop\[parquet\]'"):
        run(row(1, {"bytes": RED, "path": None}))


LITTLE_MEMORY = """
import json, sys
sys.path.insert(0, sys.argv.pop(1))
import parquet_child as child
child.MEMORY_BYTES = 256 * 2**20
exec(sys.argv.pop(1))
print(json.dumps(child.main(*sys.argv[1:])))
"""


def reading(folder: Path, *, pictures: int, in_group: int, change: str = "") -> dict[str, Any]:
    """What the child says of a file of pictures of 1.5 MB, with 256 MB beside the pages."""
    path = folder / "rows.parquet"
    rows = [row(n, {"bytes": (b"%d" % (n + 100)) * 500_000, "path": None}) for n in range(pictures)]
    table = pyarrow.Table.from_pylist(rows)
    writing.write_table(table, path, row_group_size=in_group, compression="NONE")
    child, targets = str(parquet.CHILD.parent), [str(folder / "lines"), str(folder / "zip")]
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, child, change, str(path), *targets],
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    assert reading(tmp_path, pictures=400, in_group=8) == {"problems": []}
    assert (tmp_path / "rows.parquet").stat().st_size > 2 * 256 * 2**20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("", ""),
        ("child._make_room = lambda more: None", "needs too much memory to read"),
        ("child._free_memory = lambda: 2**27", "and 0.1 are free here: write it with smaller"),
    ],
    ids=["as it is", "without room for it", "where there is little memory"],
)
def test_a_group_larger_than_the_memory_beside_it_is_read_or_refused(
    tmp_path: Path, change: str, said: str
) -> None:
    """Pictures of 200 MB in one page, which takes twice as much."""
    found = reading(tmp_path, pictures=136, in_group=136, change=change)
    assert said in found.get("error", "")
    assert ("error" in found) == bool(change)
