"""Template filters of annotation."""
