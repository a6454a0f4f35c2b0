"""What there is to be told. A new kind is one line here, and one call of ``writing.tell`` or
``conditions.holds`` where it happens."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

KINDS = {
    "run_finished": gettext_lazy("A run of mine has finished"),
    "run_failed": gettext_lazy("A run of mine has failed"),
    "run_lost": gettext_lazy("A run of mine is lost: its worker fell silent"),
    "kl_stop": gettext_lazy(
        "A run of mine stopped early: the policy went too far from where it began"
    ),
    "score_fell": gettext_lazy("A model of mine scores lower than the one it was trained from"),
    "annotator_paused": gettext_lazy(
        "An annotator was paused for wrong answers to known comparisons"
    ),
    "disputes_waiting": gettext_lazy("Disputes wait in a project that I review"),
    "project_nearly_done": gettext_lazy("A project that I manage is nearly done"),
    "agreement_low": gettext_lazy("Agreement in a project that I manage is under the bar"),
    "machine_labelling": gettext_lazy(
        "A machine labelling of a project that I manage was certified, or ended"
    ),
    "machine_withdrawn": gettext_lazy("Machine votes of a project that I manage were withdrawn"),
    "disk_nearly_full": gettext_lazy("A disk of the site is nearly full"),
}
FOR_SUPERUSERS = {"disk_nearly_full"}


def of(*, is_superuser: bool) -> dict[str, str]:
    """The kinds that can happen to somebody, with what they are called."""
    return {
        name: str(words)
        for name, words in KINDS.items()
        if is_superuser or name not in FOR_SUPERUSERS
    }
