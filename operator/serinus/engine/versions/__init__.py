"""Admission and lifecycle of model versions."""
