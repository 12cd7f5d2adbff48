"""Verifies artifacts: fetches bytes from the places that the administrator allows and compares size and digest."""
