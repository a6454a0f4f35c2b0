"""REST of training, under /api/v1/."""
