"""Where a reward model meets people again: what it scores, and where they disagree."""
