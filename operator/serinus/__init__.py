"""Serinus: model versions into production, safely."""

__version__ = "0.1.0"
