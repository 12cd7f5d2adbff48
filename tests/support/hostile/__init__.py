"""Hostile input: every field of the CRDs with every kind of bad value, against a real API server and operator."""
