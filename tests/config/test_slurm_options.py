from __future__ import annotations

import pytest

from config.slurm_options import unfit


@pytest.mark.parametrize(
    "options",
    ["--clusters=east", "--clusters east", "-M east", "-Meast", "--job=mine", "--array=1-3", "-W"],
)
def test_options_with_which_a_job_could_not_be_followed_are_named(options: str) -> None:
    assert unfit(["--mem=2G", *options.split()])


def test_other_options_are_slurms_to_judge() -> None:
    assert not unfit(
        [
            "-p",
            "gpu",
            "-A",
            "lab",
            "--cluster-constraint=x",
            "--account=lab",
            "--wait-all-nodes=1",
            "--mem=2G",
        ]
    )
