"""The audit report of one model, compiled from its records."""
