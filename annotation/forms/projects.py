"""A project and its settings."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.utils.text import slugify

from annotation import projects
from annotation.models import Project


class ProjectForm(forms.ModelForm):
    """A project's settings; the short name in its address is made from the name."""

    class Meta:
        model = Project
        fields = projects.SETTINGS
        labels = {
            "gold_rate": "Share of gold comparisons",
            "repeat_rate": "Share of repeats",
            "pause_below": "Pause below this share of right gold answers",
            "pause_after": "Gold answers before a pause",
            "quiz_pass_mark": "Pass mark of the entry quiz",
            "quiz_attempts": "Attempts at the entry quiz",
            "judgments_per_comparison": "People per comparison",
            "max_judgments": "At most, while votes are split",
            "allow_tie": "Allow “about the same”",
            "mark_spans": "Mark hallucinated words",
            "ask_confidence": "Ask how sure people are",
            "ask_correction": "Ask for the corrected answer",
            "correction_required": "Everybody has to answer that",
            "lease_minutes": "Minutes a comparison is held",
        }
        help_texts = {
            "description": "What the images are and what the labels are for.",
            "mark_spans": "Annotators may select words and say what is wrong with them.",
            "state": "Only an open project hands out work. Lists leave out an archived one, and "
            "nothing new is trained on it; nothing of it is deleted.",
            "ask_confidence": "From 1, a guess, to 5, certain; asked after each answer.",
            "ask_correction": "After the choice, people rewrite this response until nothing in it "
            "is false. It trains the model: the corrected text is better than the original.",
            "correction_required": "By a corrected text or by saying that nothing is false; else "
            "they may go on without.",
            "quiz_pass_mark": "Share of right answers, 0 to 1, before a newcomer gets work; 0 "
            "for no quiz. Its questions are chosen on the guidelines page.",
            "guidelines": "Markdown. Annotators are asked to read every new version.",
        }
        widgets = {
            "description": forms.Textarea(attrs={"rows": 3}),
            "guidelines": forms.Textarea(attrs={"rows": 14}),
        }

    SECTIONS: ClassVar = {
        "The project": ["name", "description", "question", "guidelines"],
        "Assignment": ["state", "judgments_per_comparison", "max_judgments", "lease_minutes"],
        "What annotators say": [
            *("allow_tie", "mark_spans", "ask_confidence", "ask_correction", "correction_required")
        ],
        "Quality checks": ["gold_rate", "repeat_rate", "pause_below", "pause_after"],
        "Entry quiz": ["quiz_pass_mark", "quiz_attempts"],
    }

    def sections(self) -> list[tuple[str, list[forms.BoundField], bool]]:
        """Title, fields, and whether one of them has an error: as the page groups them."""
        return [
            (title, fields, any(field.errors for field in fields))
            for title, names in self.SECTIONS.items()
            for fields in [[self[name] for name in names]]
        ]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        for name, reason in projects.conflicts(given).items():
            self.add_error(name, reason)
        if self.instance.pk is None and given.get("name"):
            self.instance.slug = free_slug(given["name"])
        return given


def free_slug(name: str) -> str:
    """A short name for addresses that no project has yet."""
    wanted = slugify(name)[:50] or "project"
    taken = set(Project.objects.filter(slug__startswith=wanted).values_list("slug", flat=True))
    numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return next(slug for slug in [wanted, *numbered] if slug not in taken)
