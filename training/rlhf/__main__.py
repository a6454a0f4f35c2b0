"""Command line of the engine, the same that a worker starts."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
from pathlib import Path

from training.rlhf.contract import Kind
from training.rlhf.presets import PRESETS, preset_spec
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
  base/                  the base model, when spec.json says "base_model": "base"
  adapters/NAME/         adapters to begin from (policy_adapter, reward_model)
  data/train.jsonl       records, one JSON object a line
  data/held_out.jsonl    records that are never trained on (sft, reward, dpo)
  images/                the files that the records name
It receives events.jsonl (progress, also on stdout), checkpoints/step-N/ and final/.
Running the same command again resumes from the newest checkpoint.
"""

EPILOG = """\
exit codes:
  0    finished: the result is in final/
  1    failed: the last line of events.jsonl says why
  143  ended by SIGTERM, saved: the same command resumes

examples:
  python -m training.rlhf reward --run-dir runs/rm --preset default
  python -m training.rlhf ppo --run-dir runs/ppo
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


def main(arguments: list[str] | None = None) -> int:
    """Carry out one run; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    kind = Kind(options.kind)
    directory: Path = options.run_dir
    if options.preset is not None and not (directory / "spec.json").exists():
        try:
            _write_spec(directory, kind, options.preset)
        except OSError as error:
            logging.error("cannot write %s: %s", error.filename, error.strerror)
            return EXIT_FAILED
        if not (directory / "data").is_dir():
            print(
                f"wrote {directory / 'spec.json'}; put data/ and images/ beside it", file=sys.stderr
            )
            return 0
    module, function = ENTRY_POINTS[kind]
    return carry_out(directory, kind, getattr(importlib.import_module(module), function))


def _write_spec(directory: Path, kind: Kind, preset: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(preset_spec(kind, preset).to_json(), indent=2, ensure_ascii=False)
    (directory / "spec.json").write_text(text + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.rlhf",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, help_text in KIND_HELP.items():
        command = kinds.add_parser(kind.value, help=help_text, description=help_text)
        command.add_argument(
            "--run-dir", type=Path, required=True, metavar="DIR", help="the run directory"
        )
        command.add_argument(
            "--preset",
            choices=PRESETS,
            help="write DIR/spec.json with these settings if there is none yet",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
