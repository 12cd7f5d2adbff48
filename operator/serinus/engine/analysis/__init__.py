"""Analysis of one stage: counts, the sequential test, windowed proportions, verdicts. Pure."""
