"""What pages make of evaluations: rankings, tests, questions side by side, public links."""
