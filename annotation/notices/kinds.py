"""What there is to be told. A new kind is one line here, and one call of ``writing.tell`` or
``conditions.holds`` where it happens."""

from __future__ import annotations

KINDS = {
    "run_finished": "A run of mine has finished",
    "run_failed": "A run of mine has failed",
    "run_lost": "A run of mine is lost: its worker fell silent",
    "kl_stop": "A run of mine stopped early: the policy went too far from where it began",
    "score_fell": "A model of mine scores lower than the one it was trained from",
    "annotator_paused": "An annotator was paused for wrong answers to known comparisons",
    "disputes_waiting": "Disputes wait in a project that I review",
    "project_nearly_done": "A project that I manage is nearly done",
    "agreement_low": "Agreement in a project that I manage is under the bar",
    "machine_labelling": "A machine labelling of a project that I manage was certified, or ended",
    "machine_withdrawn": "Machine votes of a project that I manage were withdrawn",
    "disk_nearly_full": "A disk of the site is nearly full",
}
FOR_SUPERUSERS = {"disk_nearly_full"}


def of(*, is_superuser: bool) -> dict[str, str]:
    """The kinds that can happen to somebody, with what they are called."""
    return {
        name: words for name, words in KINDS.items() if is_superuser or name not in FOR_SUPERUSERS
    }
