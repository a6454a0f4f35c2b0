"""Who can label: other apps register theirs when Django starts; annotation knows none of them.

A labeller answers all ``labels`` of a labelling that have no ``answered_at``, through
``labelling.take_answers``, from a worker of its own, and ends with ``labelling.labelled``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from annotation.errors import DomainError
from annotation.models import MachineLabelling, Project


class NoSuchMachine(DomainError):
    status = 422
    title = "No such machine can label here"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One machine that a manager may choose; ``key`` is its own within the kind."""

    key: int
    name: str
    cost: str = ""
    """What one comparison costs, for people; empty where nobody is paid."""
    about: dict[str, Any] = field(default_factory=dict)
    """What the certificate says of it, besides its name."""


class Labeller:
    """One kind of machine. Subclass, fill in the class variables, and ``register`` an instance."""

    name: str
    title: str

    def choices(self, project: Project) -> list[Choice]:
        """Those that may label in ``project``."""
        raise NotImplementedError

    def begin(self, labelling: MachineLabelling) -> None:
        """Ask a worker for what is not answered; within the transaction that asks for it.

        Raises DomainError.
        """
        raise NotImplementedError

    def cancel(self, labelling: MachineLabelling) -> None:
        """Stop; what is answered may stay."""

    def trouble(self, labelling: MachineLabelling) -> str:
        """Why nothing more will come although it is not finished; empty while all is well.

        Beat asks while the machine is at it, and this may announce work whose message was lost.
        """
        return ""

    def told(self, labelling: MachineLabelling) -> dict[str, str]:
        """For its page: ``url`` and ``link`` of where the work is seen, ``cost`` so far."""
        return {}


_labellers: dict[str, Labeller] = {}


def register(labeller: Labeller) -> None:
    """Make a kind known. The same class again is ignored, another of its name is an error."""
    known = _labellers.setdefault(labeller.name, labeller)
    if type(known) is not type(labeller):
        raise ValueError(f"labeller {labeller.name!r} is registered by {type(known).__name__}")


def of(labelling: MachineLabelling) -> Labeller:
    return _labellers[labelling.machine.partition(":")[0]]


def key_of(labelling: MachineLabelling) -> int:
    return int(labelling.machine.partition(":")[2])


def choices(project: Project) -> dict[str, tuple[Labeller, Choice]]:
    """By what ``MachineLabelling.machine`` holds, in the order of names within a kind."""
    return {
        f"{kind.name}:{choice.key}": (kind, choice)
        for kind in _labellers.values()
        for choice in kind.choices(project)
    }


def chosen(project: Project, machine: str) -> Choice:
    """Raises NoSuchMachine for what ``choices`` does not offer."""
    found = choices(project).get(machine)
    if found is None:
        raise NoSuchMachine(
            "No judge or reward model of this name can label here.", field="machine"
        )
    return found[1]
