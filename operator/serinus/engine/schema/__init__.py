"""Signatures of model versions: their differences and the SemVer bump that each one needs."""
