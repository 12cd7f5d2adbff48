"""The decision core, pure: no I/O, clock, randomness, logging or environment (checked by import-linter)."""
