"""Exhaustive exploration of small worlds around one Rollout."""
