"""The audit trail outside the cluster: exports, archives, signed checkpoints, retention."""
