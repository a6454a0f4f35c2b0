"""Judges behind endpoints as machines that label a project's comparisons."""
