"""Readers of records, a module for each kind of file; ``importing.formats`` says which is when."""
