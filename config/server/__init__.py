"""How requests come in and answers go out: see ``worker`` and docs/decisions/012."""
