"""What ``test_processes`` starts twice at once: images that all processes ask for, encoded shared.

Written into the folder named first: of each process, how many images it encoded, and what it got.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from tests.training.rlhf import tiny
from training.rlhf.images import EncodedImage
from training.rlhf.models import VisionLanguageModel
from training.rlhf.processes import together


def encoded(files: list[Path]) -> tuple[list[int], list[EncodedImage]]:
    """Images, the first of which is known to the first process only."""
    made = VisionLanguageModel(tiny.model(), tiny.processor(), device=torch.device("cpu"))
    encode, counts = made.encode_images._encode, list[int]()

    def counted(inputs: dict[str, torch.Tensor]) -> object:
        counts.append(len(inputs["pixel_values"]))
        return encode(inputs)

    with together() as everyone:
        if everyone.leads:
            made.encode_images(files[:1])
        made.encode_images._encode = counted  # type: ignore[assignment]
        found = made.encode_images([*files, (files[0], files[1])], shared=True)
        again = made.encode_images(files, shared=True)
        assert all(one is other for one, other in zip(again, found, strict=False))
    return counts, found


if __name__ == "__main__":
    torch.set_num_threads(1)
    counts, found = encoded([Path(name) for name in sys.argv[2:]])
    told = [(image.placeholder_ids, image.features.tolist()) for image in found]
    (Path(sys.argv[1]) / f"{os.environ['RANK']}.json").write_text(json.dumps([counts, told]))
