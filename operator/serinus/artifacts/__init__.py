"""Verification of artifacts: reads them from locations that the administrator allows, compares size and digest."""
