"""REST of benchmarks, under /api/v1/."""
