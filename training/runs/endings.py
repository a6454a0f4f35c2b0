"""How an attempt ends when it does not succeed; ``training.runs.execution`` says what follows."""


class Cancelled(Exception):
    """Somebody asked to cancel the run and its trainer is gone."""


class GivenBack(Exception):
    """The worker is to end; what its trainer saved is in storage, for another worker."""


class Failed(Exception):
    """The run cannot succeed; the message is for the person who asked for it."""


class Vanished(Exception):
    """The trainer was ended from outside; another attempt may well succeed."""
