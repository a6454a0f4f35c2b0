"""The site for administrators: to look at and mend rows, not to work in.

What must not be changed by hand (votes, counters, frozen artefacts) is shown read-only.
"""

from annotation.admin import notices, onboarding, people, projects

__all__ = ["notices", "onboarding", "people", "projects"]
