"""Judges and the scores of models."""

from config.settings.environment import env

# --- Benchmarks -----------------------------------------------------------------------------

JUDGE_PATIENCE = {
    # How long one answer of a judge may take.
    "timeout_seconds": env.float("JUDGE_TIMEOUT_SECONDS", default=90),
    # How often one question is asked before its verdict has failed.
    "attempts": env.int("JUDGE_ATTEMPTS", default=7),
}

# Whether each run that makes a reward model is followed by one that reports what it looks at.
REPORT_CARDS = env.bool("REPORT_CARDS", default=True)

# Whether AMBER takes near synonyms for equal: "none", or "spacy" where spaCy and a model with word
# vectors are installed. Part of the wording: the two never rank together.
AMBER_SYNONYMS = env.str("AMBER_SYNONYMS", default="none")
# The model of spaCy for that: its name, or its folder.
AMBER_SPACY_MODEL = env.str("AMBER_SPACY_MODEL", default="en_core_web_lg")
