"""What runs are seen by: curves, comparisons, samples, and the figures that monitoring reads."""
