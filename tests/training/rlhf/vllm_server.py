"""A stand-in for ``vllm serve``."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

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
