"""Reconciles ModelVersions: admission and the stage in their status."""
