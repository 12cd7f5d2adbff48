"""Signatures of model versions: their differences and the SemVer bump that each difference requires."""
