"""LAW: pure. No I/O, clock, randomness, logging or environment (import-linter proves it); time is an argument."""
