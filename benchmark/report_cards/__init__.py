"""What a reward model is worth, and what it looks at: the report card of a checkpoint."""
