"""The policy of a release: which decided comparisons become preferences."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from annotation.errors import DomainError
from annotation.models import Comparison


class BadPolicy(DomainError):
    status = 422
    title = "The release policy is not valid"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Which decided comparisons become preferences. All comparisons keep their votes."""

    minimum_margin: float = 0.0
    """The least (votes for - votes against) / votes, 0..1."""
    honesty_only: bool = False
    """Leave out preferences that helpfulness decided between equally honest responses."""
    imported_labels: bool = True
    """Take preferences that came with an imported file and that nobody here has judged."""

    machine_votes: bool = True
    """Take preferences that a certified machine decided and that people have not."""

    minimum_reliability: float = 0.0
    """Leave out votes of annotators below this estimate (annotation.quality.reliability), 0..1."""

    accept_chance_agreement: bool = False
    """Freeze it although annotators do not agree beyond chance; the release keeps the warning."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Policy:
        """Raises BadPolicy, naming the field."""
        known = {field.name: type(field.default) for field in fields(cls)}
        for name, value in data.items():
            if name not in known:
                raise BadPolicy(f"{name} is not known; there are {', '.join(known)}", field=name)
            whole_number = known[name] is float and type(value) is int
            if type(value) is not known[name] and not whole_number:
                raise BadPolicy(f"{name} has the wrong type", field=name)
        policy = cls(**data)
        for name in ("minimum_margin", "minimum_reliability"):
            if not 0 <= getattr(policy, name) <= 1:
                raise BadPolicy(f"{name} must be from 0 to 1", field=name)
        return policy

    def takes(self, row: dict[str, Any]) -> bool:
        """Whether a line of the artefact is a preference to train on."""
        return (
            row["outcome"] == Comparison.Outcome.DECIDED
            and row["margin"] >= self.minimum_margin
            and (row["hallucination"] or not self.honesty_only)
            and (self.imported_labels or not row["imported"])
            and (self.machine_votes or "machine" not in row)
        )
