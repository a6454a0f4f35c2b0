"""Decoding in fixed places: the same samples, also where steps are captured and replayed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from perf.round_on_gpu import ByPython
from tests.training.rlhf.captured import NotCapturable, Recorded
from tests.training.rlhf.conftest import LORA
from tests.training.rlhf.families import FAMILIES
from training.rlhf import static_decoding
from training.rlhf.adapters import POLICY, REFERENCE
from training.rlhf.contract import ModelSettings, SamplingSettings, Turn
from training.rlhf.data import TokenSequence
from training.rlhf.decoding import Flight
from training.rlhf.finite import NonFinite
from training.rlhf.graphs import Graphs, graphs_for, has_fixed_steps
from training.rlhf.images import joined
from training.rlhf.models import VisionLanguageModel
from training.rlhf.rollout import Responses, response_hidden, sample
from training.rlhf.static_decoding import StaticFlight

QUESTIONS = ["what ?", "is there a red circle and a cross ?", "what is there ?"]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[request.param](tmp_path_factory.mktemp("family") / request.param)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers that have to grow on the way."""
    monkeypatch.setattr(static_decoding, "COLUMNS", 16)


def prompts_of(model: VisionLanguageModel, folder: Path) -> list[TokenSequence]:
    """15 about pictures of two shapes, and about none."""
    files = []
    for number, size in enumerate([(10, 12), (20, 9), (10, 12)]):
        files.append(folder / f"{number}.png")
        Image.effect_noise(size, 90).convert("RGB").save(files[-1])
    images = [*model.encode_images(files), joined([])]
    return [
        model.chat.prompt((Turn(speaker="human", text=text),), images[number % 4])
        for number, question in enumerate(QUESTIONS * 5)
        for text in [question if number % 4 == 3 else f"<image>\n{question}"]
    ]


def answers(
    model: VisionLanguageModel,
    prompts: list[TokenSequence],
    graphs: Graphs | None = None,
    *,
    temperature: float = 1.3,
    top_p: float = 1.0,
    **options: Any,
) -> Responses:
    """At most six at once, so that others are let in, and few are left at the end."""
    model.graphs = None if graphs is None else lambda: graphs
    model.stop_ids = (2, 7, 11, 13)
    settings = SamplingSettings(temperature=temperature, top_p=top_p, response_length=40)
    draws = torch.rand(len(prompts), 40, dtype=torch.float64, generator=torch.manual_seed(3))
    given: dict[str, Any] = {"adapter": None, "batch_size": 6, "draws": draws} | options
    return sample(model, prompts, settings, **given)


def test_every_family_samples_the_same(family: Path, tmp_path: Path) -> None:
    model = VisionLanguageModel.load(str(family), ModelSettings(dtype="float32"))
    assert has_fixed_steps(model) and model.graphs is None
    prompts = prompts_of(model, tmp_path)
    expected, graphs = answers(model, prompts), Recorded()
    found = answers(model, prompts, graphs)
    assert torch.equal(found.ids, expected.ids)
    torch.testing.assert_close(found.drawn_with, expected.drawn_with)
    assert 2 <= graphs.captures < graphs.replays


@pytest.fixture
def prompts(model: VisionLanguageModel, tmp_path: Path) -> list[TokenSequence]:
    return prompts_of(model, tmp_path)


@pytest.mark.parametrize("how", [{"temperature": 0.0}, {"top_p": 0.8}], ids="".join)
def test_greedily_and_from_the_likeliest_too(
    model: VisionLanguageModel, prompts: list[TokenSequence], how: dict[str, float]
) -> None:
    expected, found = (answers(model, prompts, graphs, **how) for graphs in (None, Recorded()))
    assert torch.equal(found.ids, expected.ids)


def test_one_graph_for_each_number_of_places_and_columns(
    model: VisionLanguageModel, prompts: list[TokenSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody waits any more, halves of the places are given up; buffers grow by 16."""
    shapes, run = list[tuple[int, int]](), model.run

    def noting(**inputs: Any) -> Tensor:
        if inputs["input_ids"].shape[1] == 1:
            shapes.append((len(inputs["input_ids"]), inputs["attention_mask"].shape[-1]))
        return run(**inputs)

    monkeypatch.setattr(model, "run", noting)
    graphs = Recorded()
    answers(model, prompts, graphs)
    assert {6} < {rows for rows, _ in shapes} <= {6, 3, 2, 1}
    assert all(columns % 16 == 0 for _, columns in shapes)
    steps = len(shapes) - graphs.captures + graphs.replays
    assert steps % 8 == 0
    # Python makes the first step of each part of the rollout and those that are captured.
    assert len(shapes) < steps


def adapted(folder: Path, dtype: Any) -> VisionLanguageModel:
    """With two adapters that say other things."""
    model = VisionLanguageModel.load(str(folder), ModelSettings(dtype=dtype))
    for seed, name in enumerate((POLICY, REFERENCE)):
        model.add_adapter(name, LORA)
        torch.manual_seed(seed)
        for parameter in model.trainable(name).values():
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def under_another(model: VisionLanguageModel, prompts: list[TokenSequence]) -> Callable[..., None]:
    """What PPO does with responses as they come: the rollout's adapter is not the only one."""

    def measured(rows: list[int], responses: Responses, *_: object) -> None:
        asked = [prompts[row] for row in rows]
        response_hidden(model, REFERENCE, asked, responses.ids, responses.mask)

    return measured


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_answers_whatever_is_run_meanwhile(
    base_folder: Path, tmp_path: Path, dtype: str
) -> None:
    """In float32 it is merged, in bfloat16 it lies behind the weights, where others lie as well."""
    model = adapted(base_folder, dtype)
    prompts = prompts_of(model, tmp_path)
    options: Any = {"adapter": POLICY, "after_batch": under_another(model, prompts)}
    expected, found = (answers(model, prompts, g, **options) for g in (ByPython(), Recorded()))
    assert torch.equal(found.ids, expected.ids)
    assert torch.equal(found.drawn_with, expected.drawn_with)
    assert not torch.equal(answers(model, prompts, ByPython()).ids, expected.ids)


def test_recording_tells_where_another_adapter_is_left_in_place(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be if Python made no step at the beginning of each part of a rollout."""
    model = adapted(base_folder, "bfloat16")
    prompts = prompts_of(model, tmp_path)
    options: Any = {"adapter": POLICY, "after_batch": under_another(model, prompts)}
    expected = answers(model, prompts, ByPython(), **options)
    monkeypatch.setattr(StaticFlight, "run", lambda self, *, until: Flight.run(self, until=until))
    assert not torch.equal(answers(model, prompts, Recorded(), **options).ids, expected.ids)


def test_recording_tells_a_step_that_python_counts(
    model: VisionLanguageModel, prompts: list[TokenSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, made = StaticFlight._one, [0]

    def counted(self: StaticFlight, rows: int, columns: int) -> None:
        made[0] += 1
        self._tokens[:rows] -= made[0] % 2
        self._tokens.clamp_(min=0)
        original(self, rows, columns)

    monkeypatch.setattr(StaticFlight, "_one", counted)
    by_python, found = (answers(model, prompts, graphs) for graphs in (ByPython(), Recorded()))
    assert not torch.equal(found.ids, by_python.ids)


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x + torch.tensor([1.0, 2.0]),
        lambda x: x.to("meta"),
    ],
    ids=["item", "bool", "mask", "nonzero", "host", "device"],
)
def test_recording_refuses_what_a_graph_cannot_hold(step: Callable[[Tensor], object]) -> None:
    x = torch.ones(2)
    with pytest.raises(NotCapturable):
        Recorded().capture(functools.partial(step, x))  # type: ignore[arg-type]


def test_recording_runs_nothing_and_replay_runs_on_the_same_memory() -> None:
    x, y = torch.zeros(2), torch.zeros(2)

    def step() -> None:
        half = x.view(2)[1:]
        half += 1
        y.copy_(torch.cat([half, half * 2]))

    replay = Recorded().capture(step)
    assert x.tolist() == [0, 1] and y.tolist() == [1, 2]
    x[1] = 4
    replay()
    assert x.tolist() == [0, 5] and y.tolist() == [5, 10]


def test_a_model_that_predicts_nothing_is_told_with_its_record(
    model: VisionLanguageModel, prompts: list[TokenSequence]
) -> None:
    with torch.no_grad():
        model.base.get_input_embeddings().weight[prompts[4].ids[-1]] = torch.nan
    names = [f"record {number}" for number in range(15)]
    with pytest.raises(NonFinite, match="record"):
        answers(model, prompts, Recorded(), names=names)


@pytest.mark.parametrize("how", ["window", "kind", "frequencies", "four bits", "pieces"])
def test_other_steps_are_launched_one_by_one(model: VisionLanguageModel, how: str) -> None:
    text = model.base.config.get_text_config()
    if how == "window":  # one mask for all layers, with a window that no kind of layer names
        text.sliding_window = 16
    elif how == "kind":
        text.layer_types = ["full_attention", "linear_attention"]
    elif how == "frequencies":
        next(m for m in model.base.modules() if hasattr(m, "rope_type")).rope_type = "dynamic"
    elif how == "four bits":
        model.base.is_quantized = True
    else:
        model.pieces = object()  # type: ignore[assignment]
    assert not has_fixed_steps(model)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_setting_says_whether_steps_are_captured_on_a_gpu(
    model: VisionLanguageModel, wanted: bool
) -> None:
    settings = ModelSettings(cuda_graphs=wanted)
    assert graphs_for(model, settings) is None  # on a CPU
    model.device = torch.device("cuda")
    assert (graphs_for(model, settings) is not None) == wanted
