"""Django's own backend for Postgres with a cheaper look at whether a connection still lives."""
