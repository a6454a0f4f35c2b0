"""The client of vLLM's servers against a stand-in; tests/vllm asks the real ones."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import LORA, MakeRun, events
from tests.training.rlhf.vllm_server import Server
from training.rlhf.__main__ import main
from training.rlhf.contract import (
    Kind,
    PpoSettings,
    PromptRecord,
    SamplingSettings,
)
from training.rlhf.errors import EngineError, Interrupted, ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.presets import preset_spec
from training.rlhf.run_directory import Run
from training.rlhf.samplers import Question, sampler_of
from training.rlhf.vllm_servers import KEY, SERVERS, VllmServers

SHORT = SamplingSettings(temperature=1.0, query_length=48, response_length=6)


@pytest.fixture
def questions(model: VisionLanguageModel, image_files: list[Path]) -> list[Question]:
    model.add_adapter("policy", LORA)
    for path in image_files:
        model.encode_images.check(path)
    records = [
        PromptRecord.from_json(one) for one in tiny.prompt_records([p.name for p in image_files])
    ]
    images = model.encode_images(image_files)
    return [
        Question(record, model.chat.prompt(record.conversation, image), (path,))
        for record, image, path in zip(records, images, image_files, strict=True)
    ]


def expanded(model: VisionLanguageModel, questions: list[Question]) -> Callable[..., list[int]]:
    """What vLLM makes of the short prompts."""
    short = {
        tuple(model.chat.short_prompt_ids(each.record.conversation)): each.prompt.ids
        for each in questions
    }
    return lambda ids: short[tuple(ids)]


def client(folder: Path, servers: list[Server], **changes: Any) -> VllmServers:
    settings = PpoSettings(
        sampling=SHORT,
        rollout_micro_batch_size=2,
        sampler="vllm_servers",
        sampler_rows=2,
        **changes,
    )
    spec = preset_spec(Kind.PPO, "default", base_model="hub/base", settings=settings, seed=7)
    run = Run(folder, spec, None)  # type: ignore[arg-type]
    return VllmServers(run, settings, [f"{server.address}/" for server in servers])


def sampled(found: VllmServers, model: VisionLanguageModel, questions: list[Question]) -> Any:
    parts: list[int] = []
    torch.manual_seed(3)
    answers = found.sample(
        model,
        questions,
        found._settings,
        before_batch=lambda: None,
        after_batch=lambda rows, responses, prefix: parts.extend(rows),
    )
    assert sorted(parts) == [*range(len(questions))]
    return answers


def test_several_servers_answer_with_the_policy_of_each_round(
    model: VisionLanguageModel,
    questions: list[Question],
    serve: Callable[..., Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY, "secret")
    many = questions * 8
    expand = expanded(model, questions)
    servers = [serve(expand=expand, key="secret") for _ in range(2)]
    found = client(tmp_path, servers)
    for _ in range(2):
        answers = sampled(found, model, many)
        assert answers.texts == ["what is"] * len(many)
        assert answers.drawn_with.tolist() == [[-0.5, -1.5, -2.5]] * len(many)
        assert not any(server.adapters for server in servers)
        assert not any((tmp_path / "sampler").rglob("*.safetensors"))
    assert all(server.questions for server in servers)
    asked = [body for server in servers for body in server.questions]
    assert len(asked) == 2 * len(many)
    rounds = {body["model"] for body in asked}
    assert len(rounds) == 2
    for server in servers:
        loaded = [body for path, body in server.told if path == "/v1/load_lora_adapter"]
        assert {body["lora_name"] for body in loaded} == rounds
    seeds = [body["sampling_params"]["seed"] for body in asked]
    assert len(set(seeds)) == len(many) and all(seeds.count(seed) == 2 for seed in seeds)
    [part] = asked[0]["content_parts"]
    picture = Image.open(io.BytesIO(base64.b64decode(part["url"].partition(",")[2])))
    assert picture.size == (10, 12)


def test_what_a_killed_start_left_is_not_taken_for_the_policy_and_goes(
    model: VisionLanguageModel,
    questions: list[Question],
    serve: Callable[..., Server],
    tmp_path: Path,
) -> None:
    server = serve(expand=expanded(model, questions))
    killed = client(tmp_path, [server])
    kept = killed._policy(model)
    killed._round = 1
    kept.__enter__()
    [left] = server.adapters
    another = f"factloop-{'0' * 12}-1"
    server.adapters[another] = ""  # of another run
    sampled(client(tmp_path, [server]), model, questions)
    assert [*server.adapters] == [another]
    assert left not in {body["model"] for body in server.questions}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"room": 57}, "has room for 57 tokens .* may take 58"),
        ({"key": "secret"}, "refuses /v1/models with code 401: it wants a key"),
    ],
)
def test_a_server_that_cannot_serve_the_run_is_refused_by_address(
    model: VisionLanguageModel,
    questions: list[Question],
    serve: Callable[..., Server],
    tmp_path: Path,
    options: dict[str, Any],
    message: str,
) -> None:
    server = serve(**options)
    with pytest.raises(EngineError, match=f"{server.address} {message}"):
        sampled(client(tmp_path, [server]), model, questions)


def test_other_prompt_tokens_than_ours_are_an_error_and_leave_no_adapter(
    model: VisionLanguageModel,
    questions: list[Question],
    serve: Callable[..., Server],
    tmp_path: Path,
) -> None:
    server = serve()  # the image stays one token
    with pytest.raises(ModelError, match=r"record prompt-\d: vllm makes other tokens"):
        sampled(client(tmp_path, [server]), model, questions)
    assert not server.adapters


def test_a_run_told_to_end_gives_up_what_is_under_way(
    model: VisionLanguageModel,
    questions: list[Question],
    serve: Callable[..., Server],
    tmp_path: Path,
) -> None:
    server = serve(waits=True)
    found = client(tmp_path, [server])

    def before_batch() -> None:
        if server.asked.is_set():
            raise Interrupted

    with pytest.raises(Interrupted):
        found.sample(
            model,
            questions,
            found._settings,
            before_batch=before_batch,
            after_batch=lambda *_: None,
        )
    assert not server.adapters
    assert not any((tmp_path / "sampler").rglob("*.safetensors"))


def test_a_run_says_which_server_is_not_there(
    make_run: MakeRun, reward_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SERVERS, "http://127.0.0.1:9")
    directory = make_run(Kind.PPO, reward_model=reward_folder, sampler="vllm_servers", steps=1)
    assert main(["ppo", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert failure["message"] == (
        "the sampler's server http://127.0.0.1:9 cannot be reached or does not answer "
        "(SAMPLER_SERVERS)"
    )


def test_servers_are_named_by_the_environment(
    model: VisionLanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SERVERS, " http://one:8000 http://two:8000/ ")
    settings = PpoSettings(sampler="vllm_servers")
    spec = preset_spec(Kind.PPO, "default", settings=settings)
    found = sampler_of(Run(tmp_path, spec, None), model, settings)  # type: ignore[arg-type]
    assert isinstance(found, VllmServers)
    assert found._addresses == ["http://one:8000", "http://two:8000"]
    monkeypatch.delenv(SERVERS)
    with pytest.raises(EngineError, match=r"named in the environment .* \(SAMPLER_SERVERS\), and"):
        sampler_of(Run(tmp_path, spec, None), model, settings)  # type: ignore[arg-type]
