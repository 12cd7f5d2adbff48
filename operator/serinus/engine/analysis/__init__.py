"""Evidence of one stage and its judgement: counts, the sequential test, windows, verdicts."""
