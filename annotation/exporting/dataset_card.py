"""The card of a release's dataset folder: for people, and for the library that reads its head."""

from __future__ import annotations

from annotation.models import Release

CARD = """---
configs:
- config_name: default
  drop_labels: true
  data_files:
  - split: train
    path: train/**
  - split: held_out
    path: held_out/**
---

# {title}

Pairs of answers about an image, and which of them people found better. The question was:
"{question}"

| | train | held out |
|---|---|---|
| preferences | {train} | {held_out} |
| images | {train_images} | {held_out_images} |

No image is in both splits. {agreement}{machines}

| column | content |
|---|---|
| `id` | the comparison |
| `prompt`, `chosen`, `rejected` | conversations; `chosen` is the better answer |
| `images` | the image that the prompt shows |
| `hallucination` | true where honesty decided, false where helpfulness did |
| `margin` | (votes for the better - votes for the worse) / all votes |
| `captions` | facts about the image |
{decided_by}
Release {number}, guidelines version {guidelines}, seed {seed}, SHA-256 of the release
`{sha256}`.
"""


DECIDED_BY = (
    "| `decided_by` | people, a machine (certified by a sample), or the file that brought it |\n"
)


def dataset_card(release: Release) -> str:
    """Markdown with a YAML head; the same text for the same release."""
    alpha = release.agreement.get("alpha")
    agreement = "Too few comparisons were judged twice to say how far people agree."
    if alpha is not None:
        low, high = release.agreement["low"], release.agreement["high"]
        agreement = (
            f"Krippendorff's alpha of the answers is {alpha:.2f} (95 % interval {low:.2f} to "
            f"{high:.2f}, from {release.agreement['comparisons']} comparisons)."
        )
    return CARD.format(
        title=_one_line(str(release)),
        question=_one_line(release.project.question),
        agreement=agreement,
        machines=_machines(release),
        decided_by=DECIDED_BY if release.machine_labels else "",
        number=release.number,
        guidelines=release.guidelines_version,
        seed=release.seed,
        sha256=release.sha256,
        **{
            name: release.counts.get(name, 0)
            for name in ("train", "held_out", "train_images", "held_out_images")
        },
    )


def _machines(release: Release) -> str:
    """Who decided besides people, with what was promised of it."""
    number = release.counts.get("by_machine", 0)
    if not number:
        return ""
    certificates = "; ".join(
        f"{_one_line(one['machine'])}, certified on {one['at'][:10]} by {one['errors']} errors in "
        f"{one['tested']} of {one['sample']} random comparisons: with {one['confidence']:.1%} "
        f"confidence at most {one['level']:.1%} of its votes are wrong"
        for one in release.machine_labels
    )
    return f" A machine decided {number} preferences ({certificates})."


def _one_line(text: str) -> str:
    return " ".join(text.split())
