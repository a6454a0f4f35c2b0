"""What runs leave and start from: checkpoints with their lineage and cards, base models."""
