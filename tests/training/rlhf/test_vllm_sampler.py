"""The sampler that has vLLM in its process, against a stand-in; tests/vllm asks the real one."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import LORA, MakeRun, events
from tests.training.rlhf.resuming import assert_same_weights, last_metrics
from tests.training.rlhf.test_samplers import ROUNDS, SHORT, Elsewhere
from training.rlhf import train_ppo, vllm_sampler
from training.rlhf.__main__ import main
from training.rlhf.contract import (
    Kind,
    PpoSettings,
    PromptRecord,
)
from training.rlhf.errors import Interrupted, ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.presets import preset_spec
from training.rlhf.run_directory import Run
from training.rlhf.samplers import Question
from training.rlhf.vllm_sampler import VllmSampler


@dataclass
class FakeEngine:
    """Stands for ``vllm.LLM`` and its engine: fixed tokens, and memory of what it was asked."""

    expanded: ClassVar[list[list[int]]] = []
    """What vLLM would make of the prompts; tests set it."""
    arguments: dict[str, Any]
    answer: list[int]
    calls: list[SimpleNamespace] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def llm_engine(self) -> FakeEngine:
        return self

    @property
    def engine_core(self) -> SimpleNamespace:
        return SimpleNamespace(shutdown=lambda: self.told.append("stopped"))

    def add_request(self, number: str, prompt: Any, parameters: Any, *, lora_request: Any) -> None:
        files = sorted(path.name for path in Path(lora_request.path).iterdir())
        self.calls.append(
            SimpleNamespace(prompt=prompt, parameters=parameters, lora=lora_request, files=files)
        )
        self.waiting.append(number)

    def has_unfinished_requests(self) -> bool:
        return bool(self.waiting)

    def step(self) -> list[Any]:
        """The last one that came ends first. It draws from torch's generator, as vLLM may."""
        torch.rand(len(self.calls))
        number = self.waiting.pop()
        asked = self.calls[-1].parameters
        tokens = self.answer[: asked["max_tokens"]]
        chosen = [{t: SimpleNamespace(logprob=-0.5 - n)} for n, t in enumerate(tokens)]
        answer = SimpleNamespace(token_ids=tokens, logprobs=chosen)
        ids = self.expanded[int(number)]
        return [
            SimpleNamespace(
                request_id=number, finished=True, prompt_token_ids=ids, outputs=[answer]
            )
        ]

    def remove_lora(self, number: int) -> None:
        self.told.append(("removed", number))

    def sleep(self, *, level: int) -> None:
        self.told.append("sleeps")

    def wake_up(self) -> None:
        self.told.append("wakes")


@pytest.fixture
def sleeps() -> bool:
    return True


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, sleeps: bool) -> list[FakeEngine]:
    """The engines that are made, in place of the vllm package."""
    made: list[FakeEngine] = []

    def engine(**arguments: Any) -> FakeEngine:
        torch.manual_seed(arguments["seed"])  # as vLLM does
        made.append(FakeEngine(arguments, answer=[5, 6, 2]))  # "what is", end
        return made[-1]

    package, request = ModuleType("vllm"), ModuleType("vllm.lora.request")
    platforms = ModuleType("vllm.platforms")
    package.LLM, package.SamplingParams = engine, dict  # type: ignore[attr-defined]
    request.LoRARequest = lambda name, number, path: SimpleNamespace(  # type: ignore[attr-defined]
        name=name, number=number, path=path
    )
    platforms.current_platform = SimpleNamespace(  # type: ignore[attr-defined]
        is_sleep_mode_available=lambda: sleeps
    )
    for module in (package, request, platforms):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in vllm_sampler._ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, vllm_sampler._ENVIRONMENT[name])  # put back afterwards
    return made


def make_sampler(
    model: VisionLanguageModel, folder: Path, **settings: Any
) -> tuple[VllmSampler, PpoSettings]:
    chosen = PpoSettings(sampling=SHORT, rollout_micro_batch_size=2, sampler="vllm", **settings)
    spec = preset_spec(Kind.PPO, "default", base_model="hub/base", settings=chosen, seed=7)
    run = Run(folder, spec, None)  # type: ignore[arg-type]
    return VllmSampler(run, model, chosen), chosen


def questions_of(model: VisionLanguageModel, files: list[Path]) -> list[Question]:
    records = [PromptRecord.from_json(one) for one in tiny.prompt_records([p.name for p in files])]
    images = model.encode_images(files)
    return [
        Question(record, model.chat.prompt(record.conversation, image), (path,))
        for record, image, path in zip(records, images, files, strict=True)
    ]


@pytest.mark.parametrize("sleeps", [True, False])
def test_vllm_answers_with_the_policy_of_the_round(
    model: VisionLanguageModel,
    image_files: list[Path],
    engines: list[FakeEngine],
    tmp_path: Path,
    sleeps: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model.add_adapter("policy", LORA)
    for path in image_files:
        model.encode_images.check(path)
    sampler, settings = make_sampler(model, tmp_path, sampler_memory=0.5)
    assert not engines  # none before it is needed
    questions = questions_of(model, image_files)
    monkeypatch.setattr(FakeEngine, "expanded", [q.prompt.ids for q in questions], raising=False)
    parts: list[list[int]] = []
    drawn_next: list[list[float]] = []
    for _ in range(2):
        torch.manual_seed(3)
        sampled = sampler.sample(
            model,
            questions,
            settings,
            before_batch=lambda: None,
            after_batch=lambda rows, responses, prefix: parts.append(rows),
        )
        assert not any((tmp_path / "sampler").rglob("*.safetensors"))
        drawn_next.append(torch.rand(4).tolist())
    # What is drawn after it is what would be drawn without it: of each question's seed alone.
    torch.manual_seed(3)
    torch.randint(2**31, (len(questions),))
    assert drawn_next == [torch.rand(4).tolist()] * 2
    told = engines[0].arguments
    assert told["model"] == "hub/base"
    assert told["gpu_memory_utilization"] == 0.5
    assert told["max_lora_rank"] == LORA.rank
    assert told["logprobs_mode"] == "processed_logprobs"
    assert told["max_model_len"] == 48 + 4 + 6
    assert told["limit_mm_per_prompt"] == {"image": 1, "video": 0}
    assert told["enable_sleep_mode"] is sleeps
    # Memory is handed back between rounds: it sleeps, or another one is started.
    if sleeps:
        assert len(engines) == 1
        assert engines[0].told == [
            *(("removed", 1), "sleeps", "wakes"),
            *(("removed", 2), "sleeps"),
        ]
    else:
        assert [engine.told for engine in engines] == [
            [("removed", 1), "stopped"],
            [("removed", 2), "stopped"],
        ]
    assert sampled.texts == ["what is"] * 3
    assert sampled.finished == [True] * 3
    assert sampled.drawn_with is not None
    assert sampled.drawn_with.tolist() == [[-0.5, -1.5, -2.5]] * 3
    assert sorted(row for part in parts[:2] for row in part) == [0, 1, 2]
    assert max(map(len, parts)) == 2

    calls = [call for engine in engines for call in engine.calls]
    assert [call.lora.number for call in calls] == [1, 1, 1, 2, 2, 2]
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(calls[-1].files)
    image_id = tiny.SPECIAL.index("<image>")
    assert [c.prompt["prompt_token_ids"].count(image_id) for c in calls[:3]] == [1] * 3
    assert calls[0].prompt["multi_modal_data"]["image"].size == (10, 12)
    parameter = calls[0].parameters
    assert parameter["logit_bias"] == dict.fromkeys(model.suppressed_ids, -100.0)
    assert parameter["stop_token_ids"] == list(model.stop_ids)
    seeds = [call.parameters["seed"] for call in calls]
    assert sorted(seeds[:3]) == sorted(seeds[3:])
    assert len(set(seeds)) == 3


def test_a_run_told_to_end_does_not_wait_for_all_answers(
    model: VisionLanguageModel,
    image_files: list[Path],
    engines: list[FakeEngine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model.add_adapter("policy", LORA)
    sampler, settings = make_sampler(model, tmp_path)
    questions = questions_of(model, image_files)
    monkeypatch.setattr(FakeEngine, "expanded", [q.prompt.ids for q in questions], raising=False)
    asked: list[int] = []

    def before_batch() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        sampler.sample(
            model, questions, settings, before_batch=before_batch, after_batch=lambda *_: None
        )
    assert len(engines[0].waiting) == 2
    assert engines[0].told == ["stopped"]


@pytest.mark.parametrize(("rank", "room"), [(2, 8), (8, 8), (24, 32), (64, 64)])
def test_vllm_makes_room_for_adapters_in_powers_of_two(rank: int, room: int) -> None:
    assert vllm_sampler._room_for(rank) == room


def test_other_prompt_tokens_than_ours_are_an_error(
    model: VisionLanguageModel,
    image_files: list[Path],
    engines: list[FakeEngine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model.add_adapter("policy", LORA)
    sampler, settings = make_sampler(model, tmp_path)
    questions = questions_of(model, image_files)
    wrong = [question.prompt.ids[1:] for question in questions]
    monkeypatch.setattr(FakeEngine, "expanded", wrong, raising=False)
    with pytest.raises(ModelError, match=r"record prompt-\d: vllm makes other tokens"):
        sampler.sample(
            model,
            questions,
            settings,
            before_batch=lambda: None,
            after_batch=lambda *_: None,
        )


def test_ppo_trains_on_what_vllm_answers(
    make_run: MakeRun,
    reward_folder: Path,
    engines: list[FakeEngine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = VllmSampler.sample

    def sample(self, model, questions, *args, **more):  # type: ignore[no-untyped-def]
        FakeEngine.expanded = [question.prompt.ids for question in questions]
        return original(self, model, questions, *args, **more)

    monkeypatch.setattr(VllmSampler, "sample", sample)
    whole = make_run(Kind.PPO, "whole", reward_model=reward_folder, sampler="vllm", **ROUNDS)
    assert main(["ppo", "--run-dir", str(whole)]) == 0
    metrics = last_metrics(events(whole))
    assert metrics[1]["ppo/response_tokens"] == 3
    assert metrics[1]["ppo/sampler_gap"] > 0
    assert len(engines[0].calls) == 2 * 6
    again = make_run(Kind.PPO, "again", reward_model=reward_folder, sampler="vllm", **ROUNDS)
    assert main(["ppo", "--run-dir", str(again)]) == 0
    assert_same_weights(whole / "final", again / "final")


def test_without_the_package_the_run_says_so(make_run: MakeRun, reward_folder: Path) -> None:
    directory = make_run(Kind.PPO, reward_model=reward_folder, sampler="vllm", **ROUNDS)
    assert main(["ppo", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert failure["message"] == "settings.sampler: 'vllm' needs the vllm package"


@pytest.mark.parametrize(("shift", "code"), [(0.0005, 0), (0.01, 1)])
def test_in_float32_the_first_round_forgives_rounding_only(
    make_run: MakeRun,
    reward_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    shift: float,
    code: int,
) -> None:
    monkeypatch.setattr(train_ppo, "sampler_of", lambda *_: Elsewhere(shift))
    changes = ROUNDS | {"steps": 1, "sampler_gap_limit": 0.1}
    directory = make_run(Kind.PPO, reward_model=reward_folder, **changes)
    assert main(["ppo", "--run-dir", str(directory)]) == code
