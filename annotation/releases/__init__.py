"""Releases: settled preferences, frozen into one artefact that never changes again."""
