"""The audit report, compiled from the records of one model."""
