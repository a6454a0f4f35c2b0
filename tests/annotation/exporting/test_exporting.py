"""Releases: frozen, the same bytes for ever, split by image, and readable by the engine."""

import csv
import hashlib
import io
import json

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from annotation import exporting, queue
from annotation.exporting import BadPolicy, NothingToRelease, make_release, streams
from annotation.image_sources import Folder
from annotation.importing import import_files
from annotation.models import Adjudication, Assignment, Comparison, Judgment, Release
from annotation.preferences import settle
from annotation.releases.artefact import held_out_images
from tests.factories import (
    judge,
    make_comparison,
    make_image,
    make_member,
    make_project,
    make_prompt,
    make_user,
)
from training.rlhf.contract import PreferencePair, PromptRecord

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(k=1, guidelines_version=4)


def decided(project, count, answer="2"):
    comparisons = [make_comparison(project) for _ in range(count)]
    Comparison.objects.filter(project=project).update(priority=0)
    for comparison in comparisons:
        # The queue hands out the highest priority first.
        Comparison.objects.filter(pk=comparison.pk).update(priority=1)
        judge(comparison, *answer.split("/"))
    return comparisons


def records(release, format="llava_rlhf", split=None):
    data = b"".join(exporting.stream(release, format, split))
    return [json.loads(line) for line in data.splitlines()]


# --- the release itself -----------------------------------------------------------------------


def test_a_release_says_what_is_in_it(project):
    decided(project, 10)
    make_comparison(project)
    release = make_release(project, seed=3, held_out_share=0.5)
    assert (release.number, release.state, release.guidelines_version) == (1, "ready", 4)
    assert release.frozen_at is not None
    counts = release.counts
    assert (counts["preferences"], counts["comparisons"], counts["judgments"]) == (10, 10, 10)
    assert counts["train"] + counts["held_out"] == 10
    assert counts["train_images"] + counts["held_out_images"] == 10
    with default_storage.open(release.artefact.name) as file:
        assert hashlib.sha256(file.read()).hexdigest() == release.sha256
    assert make_release(project).number == 2


def test_the_same_state_and_seed_give_the_same_release(project):
    decided(project, 5)
    assert make_release(project, seed=1).sha256 == make_release(project, seed=1).sha256
    assert make_release(project, seed=1).sha256 != make_release(project, seed=2).sha256


@pytest.mark.parametrize("format", exporting.FORMATS)
def test_a_release_does_not_change_with_the_project(project, format):
    comparison = decided(project, 3)[0]
    release = make_release(project)
    before = b"".join(exporting.stream(release, format))
    judgment = Judgment.objects.get(comparison=comparison)
    queue.edit(
        judgment.assignment.annotator,
        judgment.pk,
        queue.Answer(more_hallucinated="1"),
        version=1,
        client_uuid="0b3cf1e0-9f2b-4a32-8d9c-2f6f2b6f0001",
    )
    decided(project, 2)
    project.prompts.update(captions=["something else"])
    assert b"".join(exporting.stream(release, format)) == before


def test_a_project_without_a_decision_has_nothing_to_release(project):
    make_comparison(project)
    with pytest.raises(NothingToRelease, match="is decided yet"):
        make_release(project)
    assert not Release.objects.exists()


def test_a_policy_that_takes_nothing_makes_no_release(project):
    decided(project, 2, "tie/1")
    with pytest.raises(NothingToRelease, match="under this policy"):
        make_release(project, policy={"honesty_only": True})
    assert not Release.objects.exists()


def test_a_queued_release_that_fails_says_why(project):
    decided(project, 1, "tie/1")
    release = exporting.request_release(project, policy={"honesty_only": True})
    exporting.build(release)
    assert release.state == "failed"
    assert "under this policy" in release.error
    with pytest.raises(exporting.ReleaseNotReady, match="failed"):
        exporting.stream(release, "csv")


def test_building_a_ready_release_again_changes_nothing(project):
    decided(project, 1)
    release = exporting.request_release(project)
    exporting.build(release)
    frozen = Release.objects.values().get()
    decided(project, 1)
    exporting.build(release)
    assert Release.objects.values().get() == frozen


@pytest.mark.parametrize(
    "policy",
    [{"minimum_margin": 2}, {"minimum_margin": True}, {"honesty_only": 1}, {"votes": "all"}],
)
def test_a_bad_policy_is_refused(project, policy):
    decided(project, 1)
    with pytest.raises(BadPolicy):
        make_release(project, policy=policy)


def test_a_policy_chooses_by_margin_and_by_what_decided(project):
    one, two, three = decided(project, 3)
    Comparison.objects.filter(pk=one.pk).update(margin=0.2)
    Comparison.objects.filter(pk=two.pk).update(hallucination=False)

    def ids(**policy):
        release = make_release(project, policy=policy)
        return {record["id"] for record in records(release)}

    everything = {one.external_id, two.external_id, three.external_id}
    assert ids() == everything
    assert ids(minimum_margin=0.5) == everything - {one.external_id}
    assert ids(honesty_only=True) == everything - {two.external_id}


def test_gold_and_undecided_comparisons_are_no_preferences(project):
    kept, gold = decided(project, 2)
    undecided = decided(project, 1, "tie/tie")[0]
    Comparison.objects.filter(pk=gold.pk).update(gold_more_hallucinated="2")
    release = make_release(project)
    assert [record["id"] for record in records(release)] == [kept.external_id]
    voted = {record["comparison"] for record in records(release, "votes")}
    assert voted == {kept.external_id, undecided.external_id}


# --- the split --------------------------------------------------------------------------------


def test_records_of_one_image_are_on_one_side(project):
    images = [make_image() for _ in range(12)]
    for image in images:
        for _ in range(2):
            prompt = make_prompt(project, image=image)
            comparison = make_comparison(project, prompt=prompt, priority=1)
            judge(comparison)
    release = make_release(project, held_out_share=0.4)
    train = {record["image"] for record in records(release, split="train")}
    held_out = {record["image"] for record in records(release, split="held_out")}
    assert train and held_out
    assert not train & held_out
    assert len(train | held_out) == 12


NAMES = st.sets(st.text("0123456789abcdef", min_size=4, max_size=8), max_size=40)


@given(NAMES, st.integers(0, 5), st.floats(0, 0.9))
def test_the_split_always_leaves_something_to_train_on(names, seed, share):
    held_out = held_out_images(names, seed=seed, share=share)
    assert held_out <= names
    if len(names) >= 2 and share > 0:
        assert 1 <= len(held_out) < len(names)
    else:
        assert not held_out


def test_an_image_keeps_its_side_as_the_project_grows():
    first = {hashlib.sha256(str(n).encode()).hexdigest() for n in range(200)}
    grown = first | {hashlib.sha256(str(n).encode()).hexdigest() for n in range(200, 400)}
    before = held_out_images(first, seed=1, share=0.2)
    after = held_out_images(grown, seed=1, share=0.2)
    assert before == after & first
    assert len(after) / 400 == pytest.approx(0.2, abs=0.06)


# --- formats ----------------------------------------------------------------------------------


def test_the_native_format_is_what_the_engine_reads(project):
    comparison = make_comparison(project, model_1="a", model_2="b")
    judge(comparison, "1")
    (record,) = records(make_release(project))
    pair = PreferencePair.from_json(record)
    assert pair.id == comparison.external_id
    assert pair.preference == 2
    assert (pair.better, pair.worse) == (comparison.response_2, comparison.response_1)
    assert (pair.model_1, pair.model_2) == ("a", "b")
    assert pair.hallucination is True
    assert pair.margin == 1.0
    assert pair.votes == {
        "1": 0,
        "2": 1,
        "tie": 0,
        "helpful_1": 0,
        "helpful_2": 0,
        "helpful_tie": 0,
    }
    assert pair.captions == ("a red circle", "a blue cross")
    assert pair.image == comparison.prompt.image.filename
    assert [turn.text for turn in pair.conversation] == [comparison.prompt.conversation[0]["value"]]
    assert record["conversations"][-1] == {"from": "gpt", "value": ""}


def test_an_export_that_is_imported_exports_the_same(project, tmp_path):
    decided(project, 4)
    decided(project, 2, "tie/1")
    release = make_release(project)
    exporting.write_folder(release, tmp_path, "llava_rlhf")
    copy = make_project()
    whole = tmp_path / "all.jsonl"
    parts = [(tmp_path / f"{split}.jsonl").read_bytes() for split in ("train", "held_out")]
    whole.write_bytes(b"".join(parts))
    assert import_files(copy, [whole], Folder(tmp_path / "images")).created == 6
    assert records(make_release(copy)) == records(release)


def test_votes_name_nobody_and_show_what_was_shown(project):
    comparison = make_comparison(project)
    judgment = judge(comparison, "1", note="=1+1", active_seconds=2.5)
    annotator = judgment.assignment.annotator
    release = make_release(project)
    (vote,) = records(release, "votes")
    assert vote["annotator"] == str(annotator.pseudonym)
    assert vote["shown_first"] == judgment.assignment.shown_first
    assert (vote["more_hallucinated"], vote["active_seconds"], vote["version"]) == ("1", 2.5, 1)
    assert vote["surplus"] is False
    everything = b"".join(exporting.stream(release, "votes")).decode()
    assert annotator.username not in everything


def test_surplus_votes_are_told_but_not_counted(project):
    comparison = make_comparison(project)
    judge(comparison, "1")
    late = judge_late(comparison, "2")
    assert late.surplus
    release = make_release(project)
    assert [vote["surplus"] for vote in records(release, "votes")].count(True) == 1
    assert records(release)[0]["votes"]["2"] == 1
    assert records(release)[0]["votes"]["1"] == 0


def judge_late(comparison, choice):
    """A judgment by somebody whose lease had gone to another."""
    annotator = make_member(comparison.project)
    assignment = Assignment.objects.create(
        project=comparison.project,
        comparison=comparison,
        annotator=annotator,
        state="expired",
        shown_first=1,
        leased_at=timezone.now(),
        expires_at=timezone.now(),
    )
    answer = queue.Answer(more_hallucinated=choice)
    return queue.submit(
        annotator,
        assignment.token,
        answer,
        client_uuid="0b3cf1e0-9f2b-4a32-8d9c-2f6f2b6f0002",
    ).judgment


def test_a_reviewers_ruling_stands_above_the_votes(project):
    comparison = make_comparison(project)
    judge(comparison, "1")
    reviewer = make_user()
    Adjudication.objects.create(comparison=comparison, adjudicator=reviewer, more_hallucinated="2")
    comparison.refresh_from_db()
    settle(comparison)
    (record,) = records(make_release(project))
    assert record["preference"] == 1


def test_cells_that_a_spreadsheet_would_run_are_neutralised(project):
    starts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    for text in starts:
        comparison = make_comparison(project, response_1=text, response_2="fine", priority=1)
        judge(comparison, "2")
    data = b"".join(exporting.stream(make_release(project), "csv")).decode()
    rows = list(csv.DictReader(io.StringIO(data, newline="")))
    assert sorted(row["better"] for row in rows) == sorted("'" + text for text in starts)
    assert {row["worse"] for row in rows} == {"fine"}
    assert {row["margin"] for row in rows} == {"1.0"}


def test_csv_keeps_commas_quotes_and_lines(project):
    text = 'a "red", circle\nand a cross'
    judge(make_comparison(project, response_1=text), "2")
    data = b"".join(exporting.stream(make_release(project), "csv")).decode()
    (row,) = csv.DictReader(io.StringIO(data, newline=""))
    assert row["better"] == text


def test_a_stream_comes_in_chunks_of_whole_lines(project, monkeypatch):
    monkeypatch.setattr(streams, "CHUNK_BYTES", 1000)
    decided(project, 8)
    chunks = list(exporting.stream(make_release(project), "llava_rlhf"))
    assert len(chunks) > 1
    assert all(chunk.endswith(b"\n") for chunk in chunks)


def test_an_unknown_format_is_refused_before_the_stream_begins(project):
    decided(project, 1)
    release = make_release(project)
    with pytest.raises(exporting.UnknownFormat, match="'pickle' is not one of llava_rlhf"):
        exporting.stream(release, "pickle")
    with pytest.raises(exporting.UnknownFormat):
        exporting.stream(release, "csv", "test")


# --- folders for the engine -------------------------------------------------------------------


def test_training_data_lies_as_the_engine_expects_it(project, tmp_path):
    decided(project, 6)
    release = make_release(project, held_out_share=0.4)
    exporting.write_training_data(release, tmp_path)
    exporting.write_training_data(release, tmp_path)
    pairs = []
    for split in ("train", "held_out"):
        lines = (tmp_path / "data" / f"{split}.jsonl").read_text().splitlines()
        assert len(lines) == release.counts[split]
        pairs += [PreferencePair.from_json(json.loads(line)) for line in lines]
    captions = json.loads((tmp_path / "data" / "image_to_caption.json").read_text())
    for pair in pairs:
        data = (tmp_path / "images" / pair.image).read_bytes()
        assert hashlib.sha256(data).hexdigest() == pair.image.split(".")[0]
        assert captions[pair.image] == list(pair.captions)
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


def test_ppo_gets_each_prompt_of_the_training_split_once(project, tmp_path):
    prompts = [make_prompt(project, caption_type=6, length_bonus=-0.5) for _ in range(8)]
    for prompt in prompts:
        for _ in range(2):
            judge(make_comparison(project, prompt=prompt, priority=1))
    release = make_release(project, held_out_share=0.5)
    count = exporting.write_prompts(release, tmp_path)
    lines = (tmp_path / "data" / "train.jsonl").read_text().splitlines()
    found = [PromptRecord.from_json(json.loads(line)) for line in lines]
    assert count == len(found) == release.counts["train_images"]
    assert len({prompt.id for prompt in found}) == count
    assert {(prompt.caption_type, prompt.length_bonus) for prompt in found} == {(6, -0.5)}
    held_out = {record["image"] for record in records(release, split="held_out")}
    assert not held_out & {prompt.image for prompt in found}
    assert all((tmp_path / "images" / prompt.image).exists() for prompt in found)


def test_sampling_gets_the_prompts_with_the_fewest_comparisons(project, tmp_path):
    often, once, never = (make_prompt(project) for _ in range(3))
    for prompt in (often, often, once):
        make_comparison(project, prompt=prompt)
    make_prompt(make_project())
    count = exporting.write_project_prompts(project, tmp_path, limit=2)
    lines = (tmp_path / "data" / "train.jsonl").read_text().splitlines()
    found = [PromptRecord.from_json(json.loads(line)).id for line in lines]
    assert count == 2
    assert found == [never.external_id, once.external_id]
    assert exporting.write_project_prompts(project, tmp_path) == 3
