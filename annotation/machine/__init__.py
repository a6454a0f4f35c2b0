"""Machine labels: what a judge or a reward model answers, and when it may stand as a vote."""
