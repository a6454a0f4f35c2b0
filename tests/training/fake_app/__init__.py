"""An app beside training that brings kinds of run of its own, as benchmark does."""
