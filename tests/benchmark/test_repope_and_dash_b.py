"""RePOPE and DASH-B: answers joined to what each keeps, figures by hand and from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annotation.image_sources import Folder
from benchmark.importing import NotTaken, import_answers, import_questions
from benchmark.judging import work
from benchmark.models import Evaluation, Judge, QuestionSet
from benchmark.protocols import dash_b, pope, repope
from benchmark.protocols.protocol import Refused
from tests.benchmark.factories import make_judge
from tests.shared import shared_data

pytestmark = pytest.mark.django_db


@pytest.fixture
def judge() -> Judge:
    return make_judge("exact", kind="exact", base_url="", model="")


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def judged(questions: QuestionSet, answers: Path, judge: Judge) -> Evaluation:
    evaluation = import_answers(questions, answers, judge=judge, model_name="m")
    work.judge(evaluation.pk)
    return Evaluation.objects.get(pk=evaluation.pk)


def test_answers_to_all_of_pope_are_taken_by_what_repope_keeps(
    tmp_path: Path, judge: Judge
) -> None:
    rows = [
        {
            "question_id": n,
            "image": "a.jpg",
            "text": f"Is there a cup {n} in the image?",
            "label": "no",
        }
        for n in (1, 3)
    ]
    path = lines(tmp_path / "coco_repope_random.json", rows)
    kept = import_questions("repope", path, images_from=Folder(tmp_path), allow_missing=True)
    answers = lines(
        tmp_path / "answers.jsonl", [{"question_id": n, "text": "No"} for n in range(1, 5)]
    )
    evaluation = judged(kept, answers, judge)
    assert (evaluation.answers.count(), evaluation.answers_left_out) == (2, 2)
    assert evaluation.summary["accuracy"]["value"] == 1
    assert kept.name == "RePOPE random, 2 questions"
    same = import_questions("pope", path, images_from=Folder(tmp_path), allow_missing=True)
    with pytest.raises(NotTaken, match="question_id 2 is not in"):
        import_answers(same, answers, judge=judge, model_name="m")
    left_out = import_answers(same, answers, judge=judge, model_name="m", leave_out_others=True)
    assert left_out.answers_left_out == 2


def test_answers_to_an_older_spelling_of_a_question_are_taken(tmp_path: Path, judge: Judge) -> None:
    """58 questions of the first POPE files say "imange"; later ones, and RePOPE, do not."""
    asked = "Is there an umbrella in the image?"
    row = {"question_id": 11, "image": "COCO_val2014_1.jpg", "text": asked, "label": "no"}
    path = lines(tmp_path / "coco_repope_adversarial.json", [row])
    kept = import_questions("repope", path, images_from=Folder(tmp_path), allow_missing=True)
    older = "Is there an umbrella in the imange?\nAnswer the question using a single word."
    answers = lines(tmp_path / "a.jsonl", [{"question_id": 11, "prompt": older, "text": "No"}])
    assert judged(kept, answers, judge).summary["accuracy"]["value"] == 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"prompt": "Is there a boat in the image?"}, "line 1: answers another question"),
        ({"image": "COCO_val2014_000000000009.jpg"}, "line 1: is about the image"),
    ],
)
def test_an_answer_that_names_another_question_is_refused(
    tmp_path: Path, judge: Judge, changed: dict[str, str], reason: str
) -> None:
    asked = {
        "question_id": 1,
        "image": "COCO_val2014_000000000001.jpg",
        "text": "Is there a car in the image?",
        "label": "no",
    }
    path = lines(tmp_path / "coco_pope_random.json", [asked])
    questions = import_questions("pope", path, images_from=Folder(tmp_path), allow_missing=True)
    fine = {
        "question_id": 1,
        "text": "No",
        "prompt": "<image>\nIs there a car in the image? Answer with one word.",
        "image": "val2014/000000000001.jpg",
    }
    import_answers(questions, lines(tmp_path / "fine.jsonl", [fine]), judge=judge, model_name="m")
    with pytest.raises(NotTaken, match=reason):
        wrong = lines(tmp_path / "wrong.jsonl", [{**fine, **changed}])
        import_answers(questions, wrong, judge=judge, model_name="m")


def test_dash_b_by_hand() -> None:
    """TNR 1 of 4, TPR 3 of 3."""
    labels = ["no"] * 4 + ["yes"] * 3
    answers = ["no", "yes", "yes", "yes", "yes", "yes", "yes"]
    found = dash_b.summarise(labels, answers)
    assert (found.tnr, found.tpr, found.accuracy) == (0.25, 1.0, 0.625)
    assert found.harmonic_mean == pytest.approx(0.4)
    assert dash_b.summarise(labels, [*answers[:-1], None]).tnr is None
    assert dash_b.summarise(["no", "yes"], ["yes", "no"]).harmonic_mean == 0
    one_sided = dash_b.summarise(["no"], ["yes"])
    assert (one_sided.tnr, one_sided.tpr, one_sided.harmonic_mean) == (0, None, None)


def test_dash_b_from_files_to_figures(tmp_path: Path, judge: Judge) -> None:
    for name, pictures in (("neg", ["1.jpg", "2.jpg"]), ("pos", ["1.jpg"])):
        (tmp_path / f"dash_benchmark_{name}.json").write_text(
            json.dumps({"coco": {"dog": pictures, "cup": ["7.jpg"]}})
        )
    path = tmp_path / "dash_benchmark_neg.json"
    questions = import_questions("dash_b", path, images_from=Folder(tmp_path), allow_missing=True)
    said = [("neg", "dog", "1", "No"), ("neg", "dog", "2", "Yes"), ("neg", "cup", "7", "no.")]
    said += [("pos", "dog", "1", "Yes"), ("pos", "cup", "7", "Yes, a cup.")]
    rows = [
        {"image": f"images/{kind}/{name}/{number}.jpg", "object": name, "response": answer}
        for kind, name, number, answer in said
    ]
    evaluation = judged(questions, lines(tmp_path / "answers.jsonl", rows), judge)
    values = {name: evaluation.summary[name]["value"] for name in ("tnr", "tpr", "accuracy")}
    assert values == {"tnr": pytest.approx(2 / 3), "tpr": 1, "accuracy": pytest.approx(5 / 6)}
    assert evaluation.summary["tnr"]["low"] < 2 / 3
    ambiguous = lines(tmp_path / "a.jsonl", [{"image": "1.jpg", "object": "dog", "text": "No"}])
    with pytest.raises(NotTaken, match="line 1: its image and object"):
        import_answers(questions, ambiguous, judge=judge, model_name="m")


def test_the_published_files_load() -> None:
    questions = dash_b.load_questions(shared_data("dash_b", "dash_benchmark_neg.json").parent)
    labels = [question.label for question in questions]
    assert (labels.count("no"), labels.count("yes")) == (1341, 1341)
    assert len({question.object for question in questions}) == 70
    always = dash_b.summarise(labels, ["yes"] * len(labels))
    assert (always.tnr, always.tpr, always.accuracy, always.harmonic_mean) == (0, 1, 0.5, 0)
    for split, count in (("random", 2774), ("popular", 2727), ("adversarial", 2684)):
        kept = pope.load_questions(shared_data("repope", f"coco_repope_{split}.json"))
        assert len(kept) == count


def test_dash_b_figures_of_real_answers_are_the_published_ones() -> None:
    """PaliGemma-3b's answers as DASH-B's authors keep them, and the results beside them."""
    labels = ["no"] * 1341 + ["yes"] * 1341
    answers = ["no"] * 354 + ["yes"] * 987 + ["yes"] * 1158 + ["no"] * 183
    found = dash_b.summarise(labels, answers)
    assert found.accuracy == pytest.approx(0.5637583892617449)
    assert found.tnr == 0.2639821029082774
    assert found.tpr == 0.8635346756152126
    assert found.harmonic_mean == pytest.approx(0.40435353858172646)


def test_dash_b_answers_in_the_form_of_its_own_script(tmp_path: Path) -> None:
    """The raw response counts, not what the script read of it, and "gt" tells equal names apart."""
    for name in ("neg", "pos"):
        (tmp_path / f"dash_benchmark_{name}.json").write_text('{"coco": {"dog": ["1.jpg"]}}')
    asked = [dash_b.record(one) for one in dash_b.load_questions(tmp_path)]
    own = [
        {"img_id": "1.jpg", "object_name": "dog", "gt": gt, "response": said, "answer": None}
        for gt, said in (("yes", "Yes."), ("no", "I see none."))
    ]
    joined = dash_b.PROTOCOL.read_answers(lines(tmp_path / "own.json", own), asked)
    assert joined.answers == {1: "Yes.", 0: "I see none."}
    del own[0]["gt"]
    with pytest.raises(Refused, match="line 1: its image and object"):
        dash_b.PROTOCOL.read_answers(lines(tmp_path / "own.json", own), asked)


def split(**texts: str) -> dict[str, dict[str, str | None]]:
    """Answers by id as RePOPE's own script writes them: "text" is the question."""
    return {
        number: {"question_id": number, "text": text, "response": f"No {number}", "answer": None}
        for number, text in texts.items()
    }


def test_repope_answers_in_the_form_of_its_own_script(tmp_path: Path) -> None:
    """One file holds all splits; the one whose questions are the set's is taken."""
    texts = {"1": "Is there a cup in the image?", "2": "Is there a boat in the image?"}
    asked = [
        {"question_id": int(number), "question": text, "image_src": "a.jpg"}
        for number, text in texts.items()
    ]
    path = tmp_path / "answers.json"
    other = split(**{"1": texts["1"], "2": "Is there a car in the image?"})
    path.write_text(json.dumps({"popular": other, "random": split(**texts)}))
    joined = repope.PROTOCOL.read_answers(path, asked)
    assert joined.answers == {0: "No 1", 1: "No 2"}
    path.write_text(json.dumps({"popular": other, "random": other}))
    with pytest.raises(Refused, match="0 of the parts of the file answer this set"):
        repope.PROTOCOL.read_answers(path, asked)
    path.write_text(json.dumps(split(**texts)))
    assert len(repope.PROTOCOL.read_answers(path, asked).answers) == 2
    with pytest.raises(Refused, match=r"line 1: .*question_id is missing"):
        repope.PROTOCOL.read_answers(lines(path, [{"text": "No"}]), asked)


def test_repope_relabels_as_published() -> None:
    """Its Table 1, out of the two sets of files."""
    (table,) = repope.PROTOCOL.published
    for row, (name, shares) in enumerate(table.rows):
        before = pope.load_questions(shared_data("pope", f"official_coco_pope_{name}.json"))
        after = {
            one.question_id: one.label
            for one in pope.load_questions(shared_data("repope", f"coco_repope_{name}.json"))
        }
        found = [
            100
            * sum(after.get(one.question_id) == new for one in before if one.label == old)
            / sum(one.label == old for one in before)
            for old in ("yes", "no")
            for new in ("yes", "no", None)
        ]
        assert [round(share, 1) for share in found] == list(shares), row
