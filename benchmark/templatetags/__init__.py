"""Template tags of benchmark."""
