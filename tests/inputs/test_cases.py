"""The inputs that failed, by the command of each: what is right now. Skipped where they are not."""

import shutil

import pytest
from django.core.management import CommandError, call_command

from annotation.models import Comparison, Prompt
from benchmark.models import QuestionSet
from tests.factories import make_project
from tests.shared import shared_data

pytestmark = pytest.mark.django_db

# Case, files, options, and how many comparisons (or prompts) there are, or what refuses it.
# "images" stands for a folder or zip of the case.
CASES = [
    (
        "01-captions-other-folder-same-name",
        "pairs.json --images images --captions captions.json",
        2,
    ),
    (
        "01-captions-other-folder-same-name",
        "pairs_flat.json --images flat --captions captions_two_folders.json",
        "fits several captions",
    ),
    (
        "01-captions-other-folder-same-name",
        "pairs.json --images images --captions captions_bare_name.json",
        "fits this image and",
    ),
    (
        "01-zip-other-folder-same-name",
        "pairs.json --images images.zip",
        "line 2, image: there is no cam2/frame_0001.png",
    ),
    ("01-zip-other-folder-same-name", "pairs.json --images flat.zip", "both fit one file"),
    ("01-zip-other-folder-same-name", "pairs_long_path.json --images flat.zip", 1),
    (
        "02-captions-match-nothing",
        "pairs.json --images images --captions captions_coco_number.json",
        2,
    ),
    (
        "02-captions-match-nothing",
        "pairs.json --images images --captions captions_of_other_images.json",
        "for 0 of 2 images",
    ),
    (
        "02-captions-match-nothing",
        "pairs.json --images images --captions captions_without_suffix.json",
        "for 0 of 2 images",
    ),
    (
        "02-captions-match-nothing",
        "pairs.json --images images --captions captions_one_of_two.json",
        2,
    ),
    ("03-transparent-pictures", "pairs.json --images images", 4),
    ("04-image-placeholders", "pairs.json --images images", 9),
    ("05-repeated-ids", "one_picture_three_questions.json --format llava --images images", 3),
    (
        "05-repeated-ids",
        "one_picture_three_questions.json other_model.json --format llava --images images",
        3,
    ),
    (
        "05-repeated-ids",
        "A.json B_ran_twice.json --format llava --images images",
        "B_ran_twice, line 2, id: '1' is the id of line 1 too",
    ),
    ("06-mmhal-image-src-spelling", "addresses.json local_paths.json --images images", 2),
    (
        "07-mmhal-one-empty-answer",
        "full.json one_empty.json --images images",
        "one_empty, line 2, model_answer: is empty",
    ),
    (
        "07-mmhal-one-empty-answer",
        "full.json one_empty.json --images images --leave-out-unusable",
        1,
    ),
    (
        "07-mmhal-one-empty-answer",
        "full.json answers.jsonl --format mmhal --images images",
        "answers, all 2 lines: image_src is missing",
    ),
    (
        "12-u2028-and-bom",
        "mmhal_utf16.json mmhal_bom.json --images images",
        "mmhal_utf16, the file: is UTF-16, not UTF-8 text",
    ),
    (
        "13-picture-instead-of-name",
        "base64.jsonl --format rlhf_v --images images",
        "holds a picture, not the name of one",
    ),
    (
        "13-picture-instead-of-name",
        "data_uri.jsonl --format rlhf_v --images images",
        "holds a picture, not the name of one",
    ),
    (
        "13-picture-instead-of-name",
        "long_name.jsonl --format rlhf_v --images images",
        "there is no xxx",
    ),
    ("13-picture-instead-of-name", "pairs_base64.jsonl --images images", "there is no AAAA"),
    ("13-picture-instead-of-name", "address.jsonl --format rlhf_v --images images.zip", 1),
    ("13-picture-instead-of-name", "address.jsonl --format rlhf_v --images images", 1),
    ("14-phone-photo-mpo", "pairs.json --images .", 2),
    (
        "15-one-bad-picture",
        "pairs_one_truncated.json --images images --skip-missing-images",
        "is broken or cut off",
    ),
    (
        "15-one-bad-picture",
        "pairs_one_truncated.json --images images --leave-out-unusable",
        1,
    ),
    ("15-one-bad-picture", "pairs_cut_in_header.json --images images", "is broken or cut off"),
    ("15-one-bad-picture", "pairs_long_text.json --images images", 1),
    ("15-one-bad-picture", "pairs_case.json --images images", "(but there is UPPER.JPG)"),
    ("15-one-bad-picture", "pairs_12bit.json --images images", 1),
    ("16-zip-and-unicode-names", "pairs_nfc.json --images finder_nfd_with_utf8_flag.zip", 4),
    ("16-zip-and-unicode-names", "pairs_nfd.json --images finder_nfd_with_utf8_flag.zip", 4),
    ("16-zip-and-unicode-names", "pairs_nfc.json --images finder_nfd_without_flag.zip", 4),
    ("16-zip-and-unicode-names", "pairs_nfd.json --images finder_nfd_without_flag.zip", 4),
    ("16-zip-and-unicode-names", "pairs_gbk.json --images windows_gbk_names.zip", 1),
    (
        "16-zip-and-unicode-names",
        "pairs_backslash_zip.json --images powershell5_backslashes.zip",
        2,
    ),
    ("16-zip-and-unicode-names", "pair_nfd.json --images nfc_folder", 1),
    (
        "16-zip-and-unicode-names",
        "pair_nfc.json --images nfc_folder --captions captions_nfd.json",
        1,
    ),
    ("17-windows-backslash-names", "pairs_bom_crlf.jsonl --images images", 3),
    ("17-windows-backslash-names", "pairs_bom_crlf.jsonl --images images.zip", 3),
    ("17-windows-backslash-names", "dot.json --images two_folders.zip", 1),
    ("17-windows-backslash-names", "dbl.json --images two_folders.zip", 1),
    (
        "17-windows-backslash-names",
        "utf16_20_lines.jsonl --images images",
        "the file: is UTF-16, not UTF-8 text",
    ),
    (
        "17-windows-backslash-names",
        "gbk_20_lines.jsonl --images images",
        "all 20 lines: is not UTF-8 text (it looks like GBK)",
    ),
    ("18-end-tokens-and-prompt-column", "pairs_end_tokens.jsonl --images images", 2),
    (
        "18-end-tokens-and-prompt-column",
        "prompt_chosen_rejected.jsonl --format rlhf_v --images images",
        2,
    ),
    (
        "19-odd-turns",
        "answer-already-in.json --images images",
        "conversations[1].value: is filled",
    ),
    (
        "19-odd-turns",
        "empty-gpt-in-the-middle.json --images images",
        "conversations[1].value: is empty",
    ),
    ("19-odd-turns", "gpt-first.json --images images", "conversations[0].from"),
    ("19-odd-turns", "gpt-gpt.json --images images", "conversations[2].from: gpt follows gpt"),
    ("19-odd-turns", "human-human.json --images images", "conversations["),
    ("20-trl-form-not-read", "trl_lib_rlaif_v_form.parquet --format rlhf_v", 3),
    ("20-trl-form-not-read", "rlaif_v_float_idx_with_nan.parquet --format rlhf_v", 4),
    (
        "20-trl-form-not-read",
        "own_trl_export/train.jsonl --format rlhf_v --images own_trl_export/images",
        2,
    ),
    (
        "21-forms-of-other-tools",
        "object_with_data_key.json",
        "there is a list under 'data'",
    ),
    ("21-forms-of-other-tools", "object_by_number.json", "is a JSON object of objects"),
    ("21-forms-of-other-tools", "pairs.csv", "there is no http://example.org/1.jpg"),
    (
        "21-forms-of-other-tools",
        "llamafactory_rlhf_v.json --format rlhf_v",
        "there is no images/1.png",
    ),
    ("21-forms-of-other-tools", "ms_swift_dpo.jsonl", "there is no /data/images/1.png"),
    ("21-forms-of-other-tools", "openai_messages.jsonl --format rlhf_v", "a picture inside"),
    ("21-forms-of-other-tools", "label_studio_tasks.json", "there is no /data/local-files"),
    (
        "21-forms-of-other-tools",
        "rlhf_v_with_conversations_and_rejected.jsonl --format rlhf_v",
        "there is no images/1.png",
    ),
    ("22-rlhf-v-idx", "idx_null.jsonl --format rlhf_v --images images", 3),
    ("22-rlhf-v-idx", "idx_float.jsonl --format rlhf_v --images images", 3),
    (
        "22-rlhf-v-idx",
        "idx_object.jsonl --format rlhf_v --images images",
        "idx: is neither a text nor a whole number",
    ),
    ("22-rlhf-v-idx", "nan_in_json.jsonl --format rlhf_v --images images", 1),
    ("23-image-list-of-one", "pairs_image_list_of_one.json --images images", 1),
    (
        "23-image-list-of-one",
        "pairs_image_list_of_two.json --images images",
        "names 2 images; a comparison shows one",
    ),
    ("27-thin-pictures", "pairs.json --images images", 3),
    ("30-text-on-the-page", "pairs.json --images images", "holds nothing visible"),
    ("30-text-on-the-page", "pairs.json --images images --leave-out-unusable", 5),
]


@pytest.mark.parametrize(
    ("case", "arguments", "right"), CASES, ids=[f"{case} {line}" for case, line, _ in CASES]
)
def test_a_case_gives_what_is_right(case, arguments, right, tmp_path):
    folder = shared_data("cases", case)
    if "parquet" in arguments:
        pytest.importorskip("pyarrow")
    words = [
        str(folder / word)
        if ((folder / word).exists() and word != "images") or word == "images"
        else word
        for word in arguments.split()
    ]
    project = make_project()
    if isinstance(right, int):
        call_command("import_comparisons", project.slug, *words)
        assert max(Comparison.objects.count(), Prompt.objects.count()) == right
        return
    with pytest.raises(CommandError) as refused:
        call_command("import_comparisons", project.slug, *words)
    assert right in str(refused.value)
    assert "Error" not in str(refused.value)
    assert all(len(line) < 400 for line in str(refused.value).splitlines())
    assert not Comparison.objects.exists()


def test_the_names_of_the_rows_do_not_depend_on_how_a_table_writes_them(tmp_path):
    folder = shared_data("cases", "22-rlhf-v-idx")
    project = make_project()
    floats, whole = tmp_path / "floats.jsonl", tmp_path / "whole.jsonl"
    shutil.copy(folder / "idx_float.jsonl", floats)
    whole.write_text(floats.read_text().replace(".0}", "}"))
    for path in (floats, whole):
        call_command(
            "import_comparisons", project.slug, path, format="rlhf_v", images=folder / "images"
        )
    assert Comparison.objects.count() == 3


# --- benchmark files ----------------------------------------------------------------------------


def _set(protocol, path, *, name, folder=None):
    arguments = {"name": name, "images": folder or path.parent, "allow_missing": True}
    call_command("import_questions", protocol, str(path), **arguments)
    return QuestionSet.objects.filter(protocol=protocol).latest("pk")


def test_how_an_image_is_spelt_is_no_part_of_a_question_set():
    folder = shared_data("cases", "06-mmhal-image-src-spelling")
    sets = [
        _set("mmhal", folder / name, name="", folder=folder / "images")
        for name in ("addresses.json", "local_paths.json")
    ]
    assert sets[0] == sets[1] and QuestionSet.objects.count() == 1


@pytest.mark.parametrize(
    ("case", "protocol", "name"),
    [
        ("09-pope-files", "pope", "gqa_pope_seem_random.json"),
        ("12-u2028-and-bom", "mmhal", "mmhal_bom.json"),
        ("12-u2028-and-bom", "pope", "bom/coco_pope_random.json"),
        ("32-benchmark-files", "llava_bench", "captions_as_text/qa90_questions.jsonl"),
        ("32-benchmark-files", "llava_bench", "caption_as_context_jsonl/qa90_questions.jsonl"),
    ],
)
def test_a_benchmark_file_is_read(case, protocol, name):
    made = _set(protocol, shared_data("cases", case, name), name="")
    assert made.questions.exists()
    assert all(len(text) > 1 for one in made.questions.all() for text in one.data["image_content"])


@pytest.mark.parametrize(
    ("case", "protocol", "name", "reason"),
    [
        ("09-pope-files", "pope", "popev2.json", "question_id is missing"),
        ("12-u2028-and-bom", "mmhal", "mmhal_utf16.json", "is UTF-16, not UTF-8 text"),
        ("32-benchmark-files", "llava_bench", "crash_noid/qa90_questions.jsonl", "question_id"),
        ("32-benchmark-files", "llava_bench", "crash_noimg/qa90_questions.jsonl", "image"),
        ("32-benchmark-files", "llava_bench", "crash_nul/qa90_questions.jsonl", "captions"),
        ("32-benchmark-files", "llava_bench", "crash_inst/qa90_questions.jsonl", "instance"),
    ],
)
def test_a_benchmark_file_is_refused_in_words(case, protocol, name, reason):
    with pytest.raises(CommandError, match=reason) as refused:
        _set(protocol, shared_data("cases", case, name), name="")
    assert "Error" not in str(refused.value)


@pytest.mark.parametrize(
    ("case", "questions", "answers", "reason"),
    [
        (
            "09-pope-files",
            "gqa_pope_random.json",
            "answers_to_coco.jsonl",
            "another question|image",
        ),
        ("09-pope-files", "coco_pope_random.json", "answers_to_coco.jsonl", "another question"),
        ("32-benchmark-files", "pope_three_random.json", "answers_of_other_ids.jsonl", "another"),
        ("12-u2028-and-bom", "plain/coco_pope_random.json", "answers_u2028.jsonl", ""),
        ("12-u2028-and-bom", "plain/coco_pope_random.json", "answers_u0085.jsonl", ""),
        ("12-u2028-and-bom", "plain/coco_pope_random.json", "answers_bom_crlf.jsonl", ""),
        ("07-mmhal-one-empty-answer", "full.json", "answers.jsonl", "is JSON lines"),
        ("07-mmhal-one-empty-answer", "full.json", "one_empty.json", ""),
    ],
)
def test_answers_are_joined_to_what_they_answer_or_refused(
    case, questions, answers, reason, capsys
):
    folder = shared_data("cases", case)
    protocol = "mmhal" if case.startswith("07") else "pope"
    _set(protocol, folder / questions, name="the set", folder=folder)
    call_command("create_judge", "exact", exact=True)
    arguments = ("import_answers", "the set", str(folder / answers))
    if reason:
        with pytest.raises(CommandError, match=reason):
            call_command(*arguments, model="m", judge="exact")
        return
    if protocol == "mmhal":
        call_command("create_judge", "j", base_url="http://127.0.0.1:9/v1", model="j")
    call_command(*arguments, model="m", judge="j" if protocol == "mmhal" else "exact")
    if protocol == "mmhal":
        assert "1 of 2 questions without an answer" in capsys.readouterr().out
