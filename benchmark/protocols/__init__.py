"""One folder per benchmark: all that is special about it, and nothing else."""
