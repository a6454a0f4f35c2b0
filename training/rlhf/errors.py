"""What can go wrong through no fault of the engine; the message is meant for the person who asked.

Any other exception is a defect and is reported with its traceback.
"""

from __future__ import annotations


class EngineError(Exception):
    """The run cannot go on; ``str(error)`` says why and what to change."""


class DataError(EngineError):
    """A record or image cannot be used; the message names file, line and field."""


class ModelError(EngineError):
    """A base model or adapter cannot be used as the spec asks."""


class CheckpointError(EngineError):
    """A checkpoint is damaged or belongs to another run."""


class LeftAlone(EngineError):
    """Another process of the run has ended; if it failed, it has told why."""


class Interrupted(Exception):
    """SIGTERM came: the run is saved and ends here; the same command resumes it."""
