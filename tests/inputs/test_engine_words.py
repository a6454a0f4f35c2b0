"""What the engine is brought and cannot use is refused by file, line and member, in words.

Nothing of Python, torch or PIL is said to people, and no folder of the machine.
"""

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from annotation.image_child import answer
from tests.training.rlhf.conftest import base_folder  # noqa: F401  (a fixture)
from tests.training.rlhf.test_foreign_adapters import peft_adapter
from training.rlhf.contract import (
    ContractError,
    ModelSettings,
    PreferencePair,
    PromptRecord,
    RunSpec,
)
from training.rlhf.data import read_records
from training.rlhf.errors import DataError, ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.pixels import read_image
from training.rlhf.reading import records
from training.rlhf.tensors import read_tensors

BASE_MODEL = Path(__file__).parents[2] / "demo" / "base_model"
PROGRAMS = ("Error", "NoneType", "Traceback", "<class", "torch.", "Kind.", "object has no")


def in_words(error, *wanted):
    said = str(error)
    assert all(part in said for part in wanted), said
    assert not any(part in said for part in PROGRAMS) and "\n" not in said
    return True


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    return folder


def prompt(**changes):
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": ""}]
    return {"id": "1", "image": "a.png", "conversations": turns, **changes}


def pair(**changes):
    outputs = {"output_1": {"value": "One."}, "output_2": {"value": "Two."}}
    return prompt(**{**outputs, "preference": 1, **changes})


RECORDS = {
    "a number": (PromptRecord, 1, "record: is not an object"),
    "null": (PromptRecord, None, "record: is not an object"),
    "a list": (PreferencePair, [1], "record: is not an object"),
    "a text": (PreferencePair, "x", "record: is not an object"),
    "an id that is null": (PromptRecord, prompt(id=None), "id: is not a text"),
    "an id that is a list": (PromptRecord, prompt(id=[1]), "id: is not a text"),
    "turns that are a text": (PromptRecord, prompt(conversations="x"), "conversations: is not a"),
    "an image that is a number": (PromptRecord, prompt(image=5), "image: is not a text or a list"),
    "a truth as preference": (PreferencePair, pair(preference=True), "preference: is not a whole"),
    "an output that is a text": (PreferencePair, pair(output_1="x"), "output_1: is not an object"),
    "an output that is null": (PreferencePair, pair(output_2=None), "output_2: is not an object"),
    "votes that are a text": (PreferencePair, pair(votes="x"), "votes: is not an object of counts"),
    "votes that are texts": (PreferencePair, pair(votes={"1": "x"}), "votes.1: is no count"),
    "a margin of nothing": (PreferencePair, pair(margin=float("nan")), "margin: is not a number"),
    "a margin above 1": (PreferencePair, pair(margin=3), "margin: is not between 0 and 1"),
    "fewer votes than none": (PreferencePair, pair(votes={"1": -1}), "votes.1: is no count"),
    "a hallucination in words": (PreferencePair, pair(hallucination="no"), "is neither true nor"),
    "half of a character": (PreferencePair, pair(output_1={"value": "\ud800"}), "half of a char"),
    "half of one in a fact": (PromptRecord, prompt(captions=["a", "\udfff"]), "captions[1]: holds"),
    "a bonus of nothing": (PromptRecord, prompt(length_bonus=float("nan")), "length_bonus: is not"),
    "a bonus without end": (
        PromptRecord,
        prompt(length_bonus=float("inf")),
        "length_bonus: is not",
    ),
    "a truth as a type": (PromptRecord, prompt(caption_type=True), "caption_type: is True"),
    "turns of messages": (
        PromptRecord,
        prompt(conversations=[{"role": "user", "content": "What?"}]),
        "conversations[0].from: is missing",
    ),
    "a margin in words": (PreferencePair, pair(margin="half"), "margin: is not a number"),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_refused_by_line_and_member(kind, tmp_path, images):
    of, value, reason = RECORDS[kind]
    path = tmp_path / "train.jsonl"
    path.write_text(f"{json.dumps(pair())}\n{json.dumps(value)}\n")
    with pytest.raises(DataError) as refused:
        read_records(path, of, images=images)
    assert in_words(refused.value, "train.jsonl, line 2: ", reason)


def test_an_answer_that_says_nothing_is_an_answer(tmp_path, images):
    """Models are silent now and then; people compare such an answer like any other, and every
    release with one must train."""
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(pair(output_1={"value": ""}, preference=2)))
    [read] = read_records(path, PreferencePair, images=images)
    assert (read.output_1, read.better) == ("", "Two.")


def test_an_id_stands_once_where_results_are_told_by_it(tmp_path, images):
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(prompt(id=id)) + "\n" for id in "aba"))
    assert len(read_records(path, PromptRecord, images=images)) == 3
    with pytest.raises(DataError) as refused:
        read_records(path, PromptRecord, images=images, ids_once=True)
    assert in_words(refused.value, "line 3: id: 'a' is the id of line 1 too")


FILES = {
    "HTML": (b"\n<!DOCTYPE html>", "is HTML or XML"),
    "gzip": (b"\x1f\x8b\x08abc", "is compressed with gzip"),
    "a spreadsheet": (b"PK\x03\x04abc", "is a zip archive (or a spreadsheet)"),
    "Parquet": (b"PAR1abc", "is a Parquet file"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_another_kind_is_called_what_it_is(kind, tmp_path):
    data, reason = FILES[kind]
    (tmp_path / "train.jsonl").write_bytes(data)
    with pytest.raises(DataError) as refused:
        list(records(tmp_path / "train.jsonl"))
    assert in_words(refused.value, "train.jsonl", reason)


@pytest.mark.parametrize("value", [[], "x", 3, None, {}, {"kind": "zzz"}, {"kind": 3}])
def test_a_spec_is_refused_by_its_member(value):
    with pytest.raises(ContractError) as refused:
        RunSpec.from_json(value)
    assert in_words(refused.value, "kind: ")


def _png():
    data = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(data, "PNG")
    return data.getvalue()


PICTURES = {
    "cut off": _png()[:900],
    "cut in its header": _png()[:20],
    "empty": b"",
    "a page": b"<html>404</html>",
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_refused_by_its_name_and_not_by_its_folder(kind, tmp_path):
    path = tmp_path / "b.png"
    path.write_bytes(PICTURES[kind])
    with pytest.raises(DataError) as refused:
        read_image(path)
    assert in_words(refused.value, "images/b.png cannot be read as a picture")
    assert str(tmp_path) not in str(refused.value)


def _grey(bits):
    rows = [[value << (bits - 6) for value in range(64)]] * 4
    data = b"".join(value.to_bytes(2, "little") for row in rows for value in row)
    return Image.frombytes("I;16", (64, 4), data)


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (80, 40), "red")
    picture.paste("blue", (0, 0, 40, 40))
    return picture, {"exif": exif}


ODD_PICTURES = {
    "10 bits of 16": ("a.png", _grey(10), {}),
    "12 bits of 16": ("a.png", _grey(12), {}),
    "16 bits": ("a.png", _grey(16), {}),
    "turned": ("a.jpg", *_turned()),
    "transparent": ("a.png", Image.new("RGBA", (4, 4), (9, 9, 9, 0)), {}),
    "a palette": ("a.gif", Image.new("P", (4, 4), 3), {"transparency": 3}),
    "four inks": ("a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), {}),
}


@pytest.mark.parametrize("kind", ODD_PICTURES)
def test_models_see_the_picture_that_people_see(kind, tmp_path):
    """Also in a run directory that was made elsewhere, whose pictures no import has looked at."""
    name, picture, options = ODD_PICTURES[kind]
    picture.save(tmp_path / name, **options)
    _, encoded = answer((tmp_path / name).read_bytes())
    imported = Image.open(io.BytesIO(encoded)).convert("RGB")
    seen = read_image(tmp_path / name)
    assert seen.size == imported.size
    pairs = zip(seen.tobytes(), imported.tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= (4 if name.endswith("jpg") else 0)


TENSORS = {
    "cut off": lambda data: data[:-20],
    "empty": lambda data: b"",
    "a pointer": lambda data: b"version https://git-lfs.github.com/spec/v1\n",
    "a page": lambda data: b"<html>",
    "noise": lambda data: bytes(range(256)),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_a_damaged_file_of_tensors_is_called_what_it_is(kind, tmp_path):
    path = tmp_path / "x" / "adapter_model.safetensors"
    path.parent.mkdir()
    save_file({"a": torch.ones(8)}, path)
    path.write_bytes(TENSORS[kind](path.read_bytes()))
    with pytest.raises(Exception) as refused:
        read_tensors(path)
    assert in_words(refused.value, "x/adapter_model.safetensors is ")


FITS = {
    "one too few": (lambda t: dict([*t.items()][1:]), "adapter_model.safetensors lacks base_model"),
    "another layer": (
        lambda t: {key.replace("layers.0", "layers.9"): value for key, value in t.items()},
        "layers.9.",
    ),
    "names of a state dict": (
        lambda t: {key.replace(".weight", ".default.weight"): v for key, v in t.items()},
        "default.weight, which nothing in the base model takes",
    ),
    "whole numbers": (
        lambda t: {key: value.to(torch.int32) for key, value in t.items()},
        "holds whole numbers (int32)",
    ),
    "turned over": (lambda t: {key: value.T.contiguous() for key, value in t.items()}, " x "),
    "no numbers": (
        lambda t: {key: value * float("nan") for key, value in t.items()},
        "is nan, no finite number: its training broke down",
    ),
    "numbers of a byte": (
        lambda t: {key: value.to(torch.float8_e4m3fn) for key, value in t.items()},
        "in float8_e4m3fn, of which no scale is read here",
    ),
}


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("kind", FITS)
def test_an_adapter_is_refused_by_the_tensor(kind, base_folder: Path, tmp_path):  # noqa: F811
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(base_folder, tmp_path / "theirs", target_modules=only)
    change, reason = FITS[kind]
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    with pytest.raises(ModelError) as refused:
        model.load_adapter("policy", folder)
    assert in_words(refused.value, "theirs", reason)


BEGUN = {
    **dict.fromkeys(
        ("pissa", "pissa_niter_4", "olora", "loftq", "corda"), "the base's own weights"
    ),
    "mica": "which is not known here",
    **dict.fromkeys((True, False, "gaussian", "orthogonal"), ""),
}


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("begun", BEGUN)
def test_how_an_adapter_began_changes_nothing_of_the_base(begun, base_folder, tmp_path):  # noqa: F811
    """PiSSA and its like would change, on loading, the weights that all adapters share."""
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(base_folder, tmp_path / "theirs", target_modules=only)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "init_lora_weights": begun}))
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    if BEGUN[begun]:
        with pytest.raises(ModelError) as refused:
            model.load_adapter("policy", folder)
        assert in_words(refused.value, "theirs: adapter_config.json, init_lora_weights: ")
        assert BEGUN[begun] in str(refused.value)
        return
    model.load_adapter("policy", folder)
    stored = load_file(folder / "adapter_model.safetensors")
    assert all(torch.equal(stored[k], v) for k, v in model.adapter_weights("policy").items())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("beside", ["non_lora_trainables.bin", "mm_projector.bin"])
def test_weights_beside_an_adapter_are_not_left_out_in_silence(beside, base_folder, tmp_path):  # noqa: F811
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(base_folder, tmp_path / "theirs", target_modules=only)
    (folder / beside).write_bytes(b"x")
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    with pytest.raises(ModelError) as refused:
        model.load_adapter("policy", folder)
    assert in_words(refused.value, "theirs", f"{beside} lies beside it")


@pytest.mark.parametrize("name", ["/nowhere/model", __file__])
def test_a_base_that_is_no_folder_is_said_so(name):
    with pytest.raises(ModelError) as refused:
        VisionLanguageModel.load(name, ModelSettings(dtype="float32"))
    assert in_words(refused.value, "base model '", "folder")


def settings(**changed):
    def change(folder):
        for name, members in changed.items():
            path = folder / f"{name}.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **members}))

    return change


def written(name, data):
    return lambda folder: (folder / name).write_bytes(data)


WEIGHTS = "model.safetensors"


def tensors(changed):
    def change(folder):
        found = load_file(folder / WEIGHTS)
        name = next(name for name in found if name.endswith("up_proj.weight"))
        save_file({**found, name: changed(found[name])}, folder / WEIGHTS, {"format": "pt"})

    return change


BASES = {
    "weights of noise": (written(WEIGHTS, b"\x10" * 100), "is no whole file of safetensors"),
    "a pointer of Git LFS": (
        written(WEIGHTS, b"version https://git-lfs.x"),
        "a pointer of Git LFS",
    ),
    "an empty file": (written(WEIGHTS, b""), "model.safetensors is empty"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "there are no *.safetensors"),
    "pickled weights": (
        lambda f: (f / WEIGHTS).rename(f / "pytorch_model.bin"),
        "*.bin is not read: it may run a program",
    ),
    "weights that are no numbers": (
        tensors(lambda value: value * float("nan")),
        "holds numbers that are not finite",
    ),
    "weights of whole numbers": (
        tensors(lambda value: value.to(torch.int8)),
        "in I8, and config.json has no quantization_config",
    ),
    "another token for pictures": (
        settings(config={"image_token_index": 7}),
        "puts no token 7 where a picture is",
    ),
    "a model without eyes": (
        settings(config={"model_type": "llama", "architectures": ["LlamaForCausalLM"]}),
        "(LlamaConfig) that takes no pictures",
    ),
    "settings that are no JSON": (written("config.json", b"{"), "config.json: is not JSON"),
    "settings that are a list": (
        written("processor_config.json", b"[]"),
        "processor_config.json holds no object of settings",
    ),
    "an adapter": (
        lambda f: (f / "config.json").rename(f / "adapter_config.json"),
        "there is no config.json: it is an adapter",
    ),
    "a processor of no name": (
        settings(processor_config={"processor_class": "ZzzProcessor"}),
        "names no processor that transformers knows",
    ),
    "a template that says nothing": (
        written("chat_template.jinja", b"{% for m in messages %}-{% endfor %}"),
        "leaves out what turns say",
    ),
    "a tokenizer of nothing": (
        written("tokenizer.json", b"{}"),
        "cannot be loaded: its files lack what transformers looks for",
    ),
}


@pytest.mark.parametrize("kind", BASES)
def test_a_base_is_refused_by_its_file(kind, tmp_path):
    folder = tmp_path / "theirs"
    shutil.copytree(BASE_MODEL, folder)
    damage, reason = BASES[kind]
    damage(folder)
    with pytest.raises(ModelError) as refused:
        VisionLanguageModel.load(str(folder), ModelSettings(dtype="float32"))
    assert in_words(refused.value, reason)
