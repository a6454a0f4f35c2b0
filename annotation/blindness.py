"""What somebody who annotates is told: nothing that depends on what they must not know.

Hidden from annotators is which comparisons are gold or repeats, what others answered and whether
they agree, which models wrote the responses, and how people are measured. Reviewers are not blind.
A look before and after one answer, a day later too, must show the same whatever it was an answer
to. Hence the rules, each kept where it is named:

1. Own counts count every answer and skip (``progress.own_progress``).
2. Of a project its size is told, gold included (``progress.size``), and nothing that answers move:
   what is wanted, given or settled would tell whether an answer counted, and with whom it agreed.
3. Settings that say how people are measured are not told (``MEASURING_SETTINGS``).
4. Ids of records are not told: the file that they come from may name a model in them.
5. A check is handed out only in place of work that the person could have had, and comes back like
   work when its lease ran out (``checks.claim_check``).
6. Whoever misses too many known answers is paused, and notices that. The moment depends on how
   many answers they gave, of whatever kind, and on nothing else (``checks.PAUSE_DECIDED_EVERY``):
   a pause says that at least one of so many answers was wrong and known, never which.
7. One's own figures are those of all one's answers alike; what compares them with known answers,
   earlier ones or those of others is for reviewers (``quality.annotator_report``).

One thing is told to whoever lets a lease run out: it does not come back when somebody else has
answered meanwhile. Holding the place of somebody who left would hold up everybody else.
"""

from __future__ import annotations

from annotation import access
from annotation.models import Project, User

MEASURING_SETTINGS = ("gold_rate", "repeat_rate", "pause_below", "pause_after")


def is_blind(user: User, project: Project) -> bool:
    """Whether ``user`` annotates in ``project`` and may not review."""
    return not access.may(user, project, "review")
