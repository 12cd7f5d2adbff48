"""Reconciles Rollouts: observe, decide, act, report."""
