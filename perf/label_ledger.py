"""What simulated annotators saw, printed, and compared with what the database has."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

RETURN_SECONDS = 30
"""How long after its end a lease may still be with somebody who is gone."""


@dataclass
class Ledger:
    """What the clients saw."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"claim": [], "submit": []})
    statuses: Counter[int] = field(default_factory=Counter)
    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    reconnected: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    left_behind: set[str] = field(default_factory=set)
    """Tokens of the leases of those who vanished."""
    took: float = 0.0
    longest_gap: float = 0.0
    """Seconds from a crash of Postgres to the next answered request, the longest."""

    def print_figures(self, costs: dict[str, float]) -> None:
        """``costs`` are processor seconds, by who spent them."""
        for kind, taken in self.seconds.items():
            cuts = statistics.quantiles(taken, n=100)
            p50, p95, p99 = (f"{1000 * cuts[place]:6.1f} ms" for place in (49, 94, 98))
            print(f"{kind:7} {len(taken):7,} p50 {p50}  p95 {p95}  p99 {p99}")
        answers = len(self.acknowledged)
        spent = ", ".join(f"{who} {1000 * each / answers:.1f}" for who, each in costs.items())
        print(f"{answers / self.took:.1f} answers a second over {self.took:.0f} s")
        print(f"processor time per answer, ms: {spent}")
        print(f"statuses {dict(sorted(self.statuses.items()))}, sent again {self.reconnected}")
        if self.killed:
            print(f"killed {dict(self.killed)}, longest gap {self.longest_gap:.1f} s")

    def leases_came_back(self) -> bool:
        """Waits for the leases left behind, a minute long; whether all were given back in time."""
        from annotation.models import Assignment

        left = Assignment.objects.filter(token__in=self.left_behind)
        ends = time.perf_counter() + 60 + 2 * RETURN_SECONDS
        while left.filter(ended_at=None).exists() and time.perf_counter() < ends:
            time.sleep(1)
        times = left.exclude(ended_at=None).values_list("expires_at", "ended_at")
        after = [(ended - expires).total_seconds() for expires, ended in times]
        kept = len(self.left_behind) - len(after)
        usual, most = statistics.median(after), max(after)
        print(
            f"{len(self.left_behind)} vanished with a lease; given back {usual:.1f} s after its "
            f"end, at most {most:.1f} s; never {kept}"
        )
        return kept == 0 and most <= RETURN_SECONDS

    def is_complete(self, exactly: int, each: int, people: int) -> bool:
        """Whether every comparison has ``exactly`` judgments and all ``people`` gave ``each``.

        0 stands for any number.
        """
        from django.db.models import Count

        from annotation.models import Comparison, User

        missed = short = 0
        if exactly:
            missed = Comparison.objects.exclude(judgment_count=exactly).count()
            print(f"comparisons without exactly {exactly} judgments: {missed}")
        if each:
            answered = User.objects.annotate(number=Count("assignments__judgment"))
            short = people - answered.filter(number=each).count()
            print(f"people without exactly {each} judgments: {short}")
        return missed == short == 0

    def is_kept(self) -> bool:
        """Whether all that was acknowledged is stored, once, and no comparison has too much.

        A server's error is a fault too, unless servers were killed.
        """
        from django.db.models import F

        from annotation.models import Comparison, Judgment, JudgmentVersion

        stored = Counter(map(str, JudgmentVersion.objects.values_list("client_uuid", flat=True)))
        lost = self.acknowledged - set(stored)
        foreign = set(stored) - self.sent
        doubled = Judgment.objects.count() - len(stored)
        over = Comparison.objects.filter(judgment_count__gt=F("wanted_judgments")).count()
        print(
            f"acknowledged {len(self.acknowledged):,}, stored {len(stored):,}: lost {len(lost)}, "
            f"doubled {doubled}, never sent {len(foreign)}, comparisons with too many {over}"
        )
        failed = not self.killed and any(status >= 500 for status in self.statuses)
        return not (lost or doubled or foreign or over or failed)
