"""Studies with people from a crowd: who they are, what they see, how they end, what they earn."""
