"""The client of vLLM's servers against a stand-in; tests/vllm asks the real ones."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import LORA, MakeRun, events
from tests.training.rlhf.resuming import (
    PowerCut,
    assert_same_weights,
    cut_power,
    interrupt_at,
    last_metrics,
    terminate,
)
from training.rlhf import vllm_servers
from training.rlhf.__main__ import main
from training.rlhf.contract import (
    Kind,
    OptimizerSettings,
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
ANSWER = [5, 6, 2]  # "what is", end


@dataclass
class Server:
    """Answers as `vllm serve` does, and remembers what it was asked."""

    expand: Callable[[list[int]], list[int]] = lambda ids: ids
    room: int = 4096
    key: str = ""
    waits: bool = False
    replies: Callable[[str, int], list[int]] = lambda policy, seed: ANSWER
    adapters: dict[str, str] = field(default_factory=dict)
    """By name, a digest of the weights that lay there when it was loaded."""
    policies: list[str] = field(default_factory=list)
    """Digests of all that were loaded, in turn."""
    told: list[tuple[str, Any]] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        self.told.append((path, body))
        match path:
            case "/v1/models":
                names = [{"id": name} for name in self.adapters]
                return 200, {"data": [{"id": "base", "max_model_len": self.room}, *names]}
            case "/v1/load_lora_adapter":
                weights = Path(body["lora_path"], "adapter_model.safetensors").read_bytes()
                self.adapters[body["lora_name"]] = hashlib.sha256(weights).hexdigest()
                self.policies.append(self.adapters[body["lora_name"]])
                return 200, "loaded"
            case "/v1/unload_lora_adapter":
                return (200, "gone") if self.adapters.pop(body["lora_name"], None) else (404, "")
            case "/inference/v1/generate":
                self.asked.set()
                if self.waits:
                    self.released.wait(60)
                if body["model"] not in self.adapters:
                    return 404, "no such adapter"
                ids = self.replies(self.adapters[body["model"]], body["sampling_params"]["seed"])
                steps = [{"token_id": t, "logprob": -0.5 - n} for n, t in enumerate(ids)]
                choice = {"index": 0, "token_ids": ids, "logprobs": {"content": steps}}
                expanded = self.expand(body["token_ids"])
                return 200, {"choices": [choice], "prompt_token_ids": expanded}
        return 404, "no such path"

    @property
    def questions(self) -> list[Any]:
        return [body for path, body in self.told if path == "/inference/v1/generate"]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running: list[tuple[Server, ThreadingHTTPServer]] = []

    def start(**options: Any) -> Server:
        server = Server(**options)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                read = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                code, body = 401, None
                if not server.key or self.headers["Authorization"] == f"Bearer {server.key}":
                    code, body = server.answer(self.path, json.loads(read) if read else None)
                content = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        web.handle_error = lambda *_: None  # type: ignore[method-assign,assignment]
        threading.Thread(target=web.serve_forever, daemon=True).start()
        server.address = f"http://127.0.0.1:{web.server_port}"
        running.append((server, web))
        return server

    yield start
    for server, web in running:
        server.released.set()
        web.shutdown()
        web.server_close()


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
        sampling=SHORT, rollout_micro_batch_size=2, sampler="vllm", sampler_rows=2, **changes
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
    directory = make_run(Kind.PPO, reward_model=reward_folder, sampler="vllm", steps=1)
    assert main(["ppo", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert failure["message"] == (
        "the sampler's server http://127.0.0.1:9 cannot be reached or does not answer "
        "(SAMPLER_SERVERS)"
    )


AHEAD = {
    "steps": 4,
    "rollout_batch_size": 6,
    "rollout_micro_batch_size": 4,
    "batch_size": 6,
    "checkpoint_every": 2,
    "sampling": SHORT,
    "policy_optimizer": OptimizerSettings(learning_rate=0.01),
    "sampler": "vllm",
    "sampler_gap_limit": 0.0,
    "rollout_ahead": True,
}


def words_of(policy: str, seed: int) -> list[int]:
    """An answer that depends on who is asked, and with which random numbers."""
    digest = hashlib.sha256(f"{policy} {seed}".encode()).digest()
    return [*(5 + number % 8 for number in digest[:3]), 2]


@pytest.fixture
def ahead(
    serve: Callable[..., Server],
    model: VisionLanguageModel,
    image_files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Server:
    """A server whose answers depend on the adapter, named to runs."""
    [one] = [PromptRecord.from_json(each) for each in tiny.prompt_records([image_files[0].name])]
    [image] = model.encode_images(image_files[:1])
    short = model.chat.short_prompt_ids(one.conversation)
    more = len(model.chat.prompt(one.conversation, image).ids) - len(short)

    def expand(ids: list[int]) -> list[int]:
        at = ids.index(model.chat.image_token_id)
        return [*ids[:at], *[model.chat.image_token_id] * more, *ids[at:]]

    server = serve(expand=expand, replies=words_of)
    monkeypatch.setenv(SERVERS, server.address)
    return server


def test_the_next_round_is_asked_while_this_one_updates_and_corrected(
    make_run: MakeRun, reward_folder: Path, ahead: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_run(Kind.PPO, reward_model=reward_folder, **AHEAD)
    second = threading.Event()
    answer = ahead.answer

    def answered(path: str, body: Any) -> tuple[int, Any]:
        found = answer(path, body)
        if len(ahead.questions) > 6:
            second.set()
        return found

    monkeypatch.setattr(ahead, "answer", answered)
    asked: list[bool] = []
    interrupt_at(monkeypatch, 1, lambda: asked.append(second.wait(60)))
    assert main(["ppo", "--run-dir", str(directory)]) == 0
    assert asked == [True]
    first, again, third, fourth = ahead.policies
    assert first == again  # the second round is answered by the policy of the first
    assert len({first, third, fourth}) == 3
    figures = last_metrics(events(directory))
    assert [figures[step]["ppo/rounds_behind"] for step in (1, 2, 3, 4)] == [0, 1, 1, 1]
    assert all(0 <= figures[step]["ppo/importance_cut"] <= 1 for step in figures)
    assert not ahead.adapters
    assert not (directory / "sampler_ahead").exists()
    kept = [each.name for each in directory.glob("checkpoints/*/sampled_with")]
    assert kept == ["sampled_with"]  # nothing comes after the last


@pytest.mark.parametrize(("interrupt", "code"), [(cut_power, None), (terminate, 143)])
def test_a_run_ahead_that_was_broken_off_goes_on_as_if_it_had_not(
    make_run: MakeRun,
    reward_folder: Path,
    ahead: Server,
    monkeypatch: pytest.MonkeyPatch,
    interrupt: Callable[[], None],
    code: int | None,
) -> None:
    whole, parts = (
        make_run(Kind.PPO, name, reward_model=reward_folder, **AHEAD) for name in ("whole", "parts")
    )
    assert main(["ppo", "--run-dir", str(whole)]) == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, interrupt)
        if code is None:
            with pytest.raises(PowerCut):
                main(["ppo", "--run-dir", str(parts)])
        else:
            assert main(["ppo", "--run-dir", str(parts)]) == code
    assert not ahead.adapters
    assert main(["ppo", "--run-dir", str(parts)]) == 0
    assert_same_weights(whole / "final", parts / "final")
    assert last_metrics(events(whole)) == last_metrics(events(parts))


def test_a_run_that_waits_for_what_was_asked_ahead_is_told_to_end(
    make_run: MakeRun, reward_folder: Path, ahead: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AHEAD | {"checkpoint_every": 9}
    whole, parts = (
        make_run(Kind.PPO, name, reward_model=reward_folder, **settings)
        for name in ("whole", "parts")
    )
    assert main(["ppo", "--run-dir", str(whole)]) == 0
    waits = vllm_servers._Coming.wait
    before = len(ahead.policies)

    def wait(self: Any, before_step: Callable[[], None]) -> Any:
        if len(ahead.policies) < before + 3:
            return waits(self, before_step)
        monkeypatch.setattr(self._found, "done", lambda: False)
        terminate()
        return waits(self, before_step)

    with monkeypatch.context() as patch:
        patch.setattr(vllm_servers._Coming, "wait", wait)
        assert main(["ppo", "--run-dir", str(parts)]) == 143
    assert not ahead.adapters
    [kept] = parts.glob("checkpoints/*")
    assert kept.name == "step-2" and (kept / "sampled_with").is_dir()
    assert main(["ppo", "--run-dir", str(parts)]) == 0
    assert_same_weights(whole / "final", parts / "final")


def test_servers_are_named_by_the_environment(
    model: VisionLanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SERVERS, " http://one:8000 http://two:8000/ ")
    settings = PpoSettings(sampler="vllm")
    spec = preset_spec(Kind.PPO, "default", settings=settings)
    found = sampler_of(Run(tmp_path, spec, None), model, settings)  # type: ignore[arg-type]
    assert isinstance(found, VllmServers)
    assert found._addresses == ["http://one:8000", "http://two:8000"]
    monkeypatch.delenv(SERVERS)
    settings = PpoSettings(sampler="vllm", rollout_ahead=True)
    with pytest.raises(EngineError, match="rollout_ahead needs vLLM in servers of its own"):
        sampler_of(Run(tmp_path, spec, None), model, settings)  # type: ignore[arg-type]
