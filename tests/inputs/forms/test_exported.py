"""What FactLoop exports comes back as it was."""

import json

import pytest

from annotation import exporting
from annotation.image_sources import Folder
from annotation.importing import import_files
from annotation.models import Comparison
from tests.factories import make_project, picture_bytes
from tests.inputs.forms.records import BAD, LABELLED, gpt, human, imported

EXPORTS = {
    **{"llava_rlhf": "llava_rlhf", "trl": "rlhf_v", "rlhf_v": "rlhf_v", "csv": "rlhf_v"},
    "datasets": "rlhf_v",
}


ODD_TEXTS = [
    ("=1+1", "-x"),
    ("'=1", "=1"),
    ("''+4", "@you"),
    ("a\r\nb", "a\nc"),
    (" before", "behind "),
    ("\ttab", 'say "a", b;c'),
    ("<image> is", "see <image>"),
    ("e\u0301", "x\u2028y\x85z"),
    ("null", "NaN"),
    ('{"a": 1}', "[1]"),
    ('[{"role": "assistant", "content": "x"}]', '{"from": "gpt", "value": "x"}'),
]
ASKS = ["<image>\n=What?", "<image>\nWhat does the <image> tag mean?"]
TALK = [human("<image>\nHello."), gpt("See <image>."), human(" What is it?\n")]


@pytest.mark.django_db
@pytest.mark.parametrize("name", EXPORTS)
def test_what_is_exported_comes_back(tmp_path, name):
    project = make_project(k=1)
    records = []
    for number, (better, worse) in enumerate(ODD_TEXTS):
        (tmp_path / f"{number}.png").write_bytes(picture_bytes())
        records.append(
            {
                **{"id": f"={number}", "image": f"{number}.png", "preference": 1 + number % 2},
                "conversations": TALK if number % 3 == 2 else [human(ASKS[number % 2])],
                "output_1": {"from": "-a", "value": (better, worse)[number % 2]},
                "output_2": {"from": "b", "value": (worse, better)[number % 2]},
                "hallucination": number % 4 > 0,
                "votes": {"1": 2 - number % 2, "2": 1 + number % 2, "tie": 0},
                "margin": 1 / 3,
            }
        )
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(records))
    import_files(project, [path], Folder(tmp_path))
    release = exporting.make_release(project)
    exporting.write_folder(release, tmp_path / "native", "llava_rlhf")
    whole = tmp_path / "all"
    if name == "datasets":
        folder = exporting.write_folder(release, tmp_path / "folder", name)
        whole.write_bytes(b"".join(path.read_bytes() for path in folder.glob("*/metadata.jsonl")))
    else:
        whole.write_bytes(b"".join(exporting.stream(release, name)))
    copy = make_project()
    images = Folder(tmp_path / "native" / "images")
    done = import_files(copy, [whole], images, format=EXPORTS[name])
    assert (done.created, done.left_out) == (len(ODD_TEXTS), 0)
    assert _said(copy, name) == _said(project, name)


def _said(project, name):
    """Of each pair what the format has a place for."""
    found = {}
    for one in Comparison.objects.filter(project=project).select_related("prompt"):
        turns = [turn["value"].replace("<image>\n", "") for turn in one.prompt.conversation]
        if name == "csv":  # flat: earlier turns stand in the question
            turns = [] if len(turns) > 1 or "Question: " in turns[0] else turns
        answers = [(one.response_1, one.model_1), (one.response_2, one.model_2)]
        better, worse = answers if one.preference == 1 else answers[::-1]
        if name in ("trl", "datasets"):
            better, worse = better[0], worse[0]
        found[one.external_id] = (one.prompt.image_id, turns, better, worse)
        if name != "trl":
            found[one.external_id] += (one.hallucination,)
        if name in ("llava_rlhf", "csv"):
            found[one.external_id] += (one.preference, one.imported_votes, one.margin)
    return found


@pytest.mark.django_db
@pytest.mark.parametrize(("order", "created"), [((0, 1), 1), ((1, 0), 2)])
def test_a_correction_apart_from_its_pair_is_a_pair_and_said_to_be(tmp_path, order, created):
    own = {**LABELLED["RLHF-V"], "ds_name": "factloop"}
    pair = {**own, "origin_split": json.dumps({"id": "a"})}
    correction = {
        **own,
        **{"chosen": "Corrected.", "rejected": BAD},
        "origin_split": json.dumps({"corrects": "a", "id": "a#1"}),
    }
    rows = [(pair, correction)[place] for place in order]
    _, done = imported(tmp_path, rows, "rlhf_v")
    said = [str(one) for one in done.warnings if "right behind their pair" in str(one)]
    assert (done.created, len(said)) == (created, created - 1)
