"""The judges that can label, as annotation offers them."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import Avg
from django.db.models.functions import Length

from annotation.machine import labellers
from annotation.machine.labellers import Choice
from annotation.models import MachineLabelling, Project
from benchmark.judging import costs
from benchmark.labelling import question
from benchmark.models import Judge
from config import wakeup

TASK = "benchmark.tasks.label_by_judge"
PICTURE_TOKENS = 1000


class JudgeLabeller(labellers.Labeller):
    name = "judge"
    title = "Judges"

    def choices(self, project: Project) -> list[Choice]:
        judges = list(Judge.objects.filter(kind=Judge.Kind.OPENAI))
        tokens = _tokens(project) if judges else 0
        return [
            Choice(
                key=judge.pk,
                name=judge.name,
                cost=f"2 requests, about {tokens:,} tokens{_at_price(judge, tokens)} a comparison",
                about={"model": judge.model, "wording": question.WORDING, "orders": 2},
            )
            for judge in judges
        ]

    def begin(self, labelling: MachineLabelling) -> None:
        wakeup.after_commit(TASK, labelling.pk)

    def trouble(self, labelling: MachineLabelling) -> str:
        """Its worker says itself what is wrong; a message may have been lost."""
        wakeup.announce_unless_pending(TASK, [labelling.pk])
        return ""

    def told(self, labelling: MachineLabelling) -> dict[str, str]:
        judge = Judge.objects.filter(pk=labellers.key_of(labelling)).first()
        price = _at_price(judge, labelling.tokens) if judge else ""
        return {"cost": f"{labelling.calls:,} requests, {labelling.tokens:,} tokens{price}"}


def _tokens(project: Project) -> int:
    """Of one comparison in both orders: the picture, the wording, both responses and a reply."""
    texts = project.comparisons.aggregate(mean=Avg(Length("response_1") + Length("response_2")))
    characters = len(question.INSTRUCTIONS) + len(question._MATERIAL) + (texts["mean"] or 0)
    once = PICTURE_TOKENS + characters / costs.CHARACTERS_PER_TOKEN + costs.REPLY_TOKENS
    return round(len(question.ORDERS) * once)


def _at_price(judge: Judge, tokens: int) -> str:
    price: Decimal | None = costs.price(judge, tokens)
    return "" if price is None else f", {price.normalize():f} in the currency of its bill"
