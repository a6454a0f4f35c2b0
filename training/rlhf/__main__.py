"""Command line of the engine, the same that a worker starts."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

import durable
from training.rlhf import manual
from training.rlhf.contract import Kind
from training.rlhf.errors import EngineError
from training.rlhf.events import keep_stdout
from training.rlhf.presets import preset_spec, presets_of
from training.rlhf.run_directory import EXIT_FAILED, carry_out

ENTRY_POINTS = {
    Kind.SFT: ("training.rlhf.train_sft", "train_sft"),
    Kind.GENERATE: ("training.rlhf.generate", "generate"),
    Kind.REWARD: ("training.rlhf.train_reward", "train_reward"),
    Kind.SCORE: ("training.rlhf.score", "score"),
    Kind.PPO: ("training.rlhf.train_ppo", "train_ppo"),
    Kind.DPO: ("training.rlhf.train_dpo", "train_dpo"),
}

DESCRIPTION = """\
Trains and runs vision-language models with preferences about hallucination.

A run is a directory:
  spec.json              what to do: kind, settings, base model, adapters, seed
  base/                  the base model; or "base_model" in spec.json names a folder or a hub id
  adapters/NAME/         copies of earlier final/ folders, which spec.json names: "policy_adapter"
                         to begin from or to sample, "reward_model" for ppo and score
  data/train.jsonl       records, one JSON object a line
  data/held_out.jsonl    records that are never trained on (sft, reward, dpo)
  images/                the files that the records name
It receives events.jsonl (progress, also on stdout), checkpoints/step-N/ and final/.
Running the same command again resumes from the newest checkpoint.
"""

EPILOG = """\
From pairs to a policy:
  python -m training.rlhf reward --run-dir runs/rm --preset default    # writes runs/rm/spec.json
  # put data/train.jsonl, images/ and base/ into runs/rm, change spec.json as you like, and start:
  python -m training.rlhf reward --run-dir runs/rm
  python -m training.rlhf ppo --run-dir runs/ppo --preset default
  # put prompts into runs/ppo/data/train.jsonl, images/ and base/ beside them, and the reward model:
  mkdir runs/ppo/adapters && cp -r runs/rm/final runs/ppo/adapters/reward
  # say "reward_model": "adapters/reward" in runs/ppo/spec.json, and start:
  python -m training.rlhf ppo --run-dir runs/ppo

KIND --help lists the settings of spec.json with defaults and sources. The records, in short
(docs/engine.md and training/rlhf/contract/ have the rest):
  every record   {"id": ..., "image": "file in images/", "conversations":
                 [{"from": "human", "value": "<image>\\nWhat is on the desk?"},
                  {"from": "gpt", "value": ""}], "captions": ["facts about the image"]}
  sft            the last gpt value is the answer to learn
  generate       nothing more; final/generations.jsonl has the answers by id
  reward, dpo    and "output_1": {"value": ...}, "output_2": {"value": ...}, "preference": 1 or 2,
                 which names the better one
  score          the same; without "preference" too, where settings.labelled is false
  ppo            if known, "caption_type": 1 to 7, the kind of truth that answers are checked
                 against: 1 none, 2 to 5 multiple choice A to D, 6 no, 7 yes

exit codes:
  0    finished: the result is in final/
  1    failed: the last line of events.jsonl says why
  74   failed: the disk was too full to say even that
  143  ended by SIGTERM, saved: the same command resumes

more examples:
  python -m training.rlhf mixture --mixture mixture.json --run-dir runs/sft
  python -m training.rlhf sft --run-dir runs/sft --preset paper
  accelerate launch --multi_gpu --num_processes 8 -m training.rlhf ppo --run-dir runs/ppo
"""

TRY = "try"
MIXTURE = "mixture"
MIXTURE_EPILOG = """\
FILE, with paths relative to its folder:
  {"seed": 0, "held_out": 0.01, "sources": [
    {"format": "vqa_v2", "images": "coco/train2014", "weight": 1.0,
     "files": {"questions": "v2_OpenEnded_mscoco_train2014_questions.json",
               "annotations": "v2_mscoco_train2014_annotations.json"}},
    {"format": "aokvqa", "images": "coco/train2017",
     "files": {"annotations": "aokvqa_v1p0_train.json"}},
    {"format": "flickr30k", "images": "flickr30k-images", "limit": 23000,
     "files": {"captions": "results_20130124.token"}},
    {"format": "llava", "images": "coco/train2017", "limit": 90000,
     "files": {"conversations": "llava_instruct_150k.json"}}]}

weight is how often each conversation goes in, limit the most that do. Conversations whose image is
not in the folder are left out and counted. held_out is a share of the images.
"""

KIND_HELP = {
    Kind.SFT: "fine-tune on conversations; data: conversation records; final/: an adapter, or a "
    "whole model with settings.full_model",
    Kind.GENERATE: "answer prompts; data: prompt records; final/generations.jsonl",
    Kind.REWARD: "train a reward model; data: preference pairs; final/: adapter, head, wording, "
    "normalisation and golden inputs",
    Kind.SCORE: "score both responses of preference pairs with a reward model; final/scores.jsonl",
    Kind.PPO: "train a policy against a reward model; data: prompt records; final/: an adapter",
    Kind.DPO: "train a policy on preference pairs directly, with no reward model; data: preference "
    "pairs; final/: an adapter",
}


def main(arguments: list[str] | None = None, *, whole_process: bool = False) -> int:
    """Carry out one run; returns the exit code. A ``whole_process`` keeps stdout for events."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    if options.kind == TRY:
        return _try_base(options.base)
    # Where it is installed it warns, at each start, of a kernel for processors that it did without.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    directory: Path = options.run_dir
    if options.kind == MIXTURE:
        return _prepare_mixture(options.mixture, directory)
    kind = Kind(options.kind)
    if options.preset is not None and not (directory / "spec.json").exists():
        try:
            _write_spec(directory, kind, options.preset)
        except OSError as error:
            logging.error("cannot write %s: %s", error.filename, error.strerror)
            return EXIT_FAILED
        if not (directory / "data").is_dir():
            print(_what_next(directory, kind), file=sys.stderr)
            return 0
    if whole_process:
        keep_stdout()
    return carry_out(directory, kind, _entry_point(kind))


def _entry_point(kind: Kind) -> Any:
    module, function = ENTRY_POINTS[kind]
    if module not in sys.modules:
        # Some thousand modules that all stay: looking for garbage among them is a fifth of what
        # starting takes.
        gc.disable()
        try:
            importlib.import_module(module)
        finally:
            gc.freeze()
            gc.enable()
    return getattr(sys.modules[module], function)


def _what_next(directory: Path, kind: Kind) -> str:
    wanted = ["data/train.jsonl", "images/", "base/ (or name a base_model in spec.json)"]
    if kind in (Kind.PPO, Kind.SCORE):
        wanted.append('a reward model as adapters/reward ("reward_model" in spec.json)')
    put = ", ".join(wanted)
    return (
        f"wrote {directory / 'spec.json'}; put beside it {put}; then start it with the same command"
    )


def _prepare_mixture(path: Path, directory: Path) -> int:
    from training.rlhf import mixture

    try:
        rows = mixture.write_mixture(
            mixture.read_mixture(path), root=path.resolve().parent, directory=directory
        )
    except EngineError as error:
        logging.error("%s", error)
        return EXIT_FAILED
    print(mixture.table_text(rows), end="")
    return 0


def _try_base(folder: Path) -> int:
    from training.rlhf.contract import ModelSettings
    from training.rlhf.models import VisionLanguageModel

    try:
        model = VisionLanguageModel.load(str(folder), ModelSettings(dtype="bfloat16"))
        said: dict[str, Any] = {"image_tokens": model.encode_images.trial_tokens}
    except EngineError as error:
        said = {"error": str(error).replace(str(folder), folder.name)}
    print(json.dumps(said))
    return EXIT_FAILED if "error" in said else 0


def _write_spec(directory: Path, kind: Kind, preset: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(preset_spec(kind, preset).to_json(), indent=2, ensure_ascii=False)
    durable.write(directory / "spec.json", text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.rlhf",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, help_text in KIND_HELP.items():
        command = kinds.add_parser(
            kind.value,
            help=help_text,
            description=help_text,
            epilog=manual.help_text(kind),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument(
            "--run-dir", type=Path, required=True, metavar="DIR", help="the run directory"
        )
        command.add_argument(
            "--preset",
            choices=presets_of(kind),
            help="write DIR/spec.json with these settings if there is none yet",
        )
    _add_mixture(kinds)
    help_text = "open a base model as a run would and encode one picture; prints what is wrong"
    command = kinds.add_parser(TRY, help=help_text, description=help_text)
    command.add_argument("--base", type=Path, required=True, metavar="DIR", help="its folder")
    return parser


def _add_mixture(kinds: Any) -> None:
    help_text = (
        "write data/ and images/ of an sft run from VQA-v2, A-OKVQA, Flickr30k and LLaVA files as "
        "they are downloaded; prints what went in and what was left out"
    )
    command = kinds.add_parser(
        MIXTURE,
        help=help_text,
        description=help_text,
        epilog=MIXTURE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--run-dir", type=Path, required=True, metavar="DIR", help="the run")
    command.add_argument(
        "--mixture", type=Path, required=True, metavar="FILE", help="what to mix, as JSON"
    )


if __name__ == "__main__":
    sys.exit(main(whole_process=True))
