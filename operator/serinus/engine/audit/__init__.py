"""The audit chain: records, the head that they fold to, checkpoints."""
