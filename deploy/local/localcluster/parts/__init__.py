"""The parts of the cluster that run as processes."""
