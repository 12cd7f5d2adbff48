"""The registry: which versions exist, which one serves, and everything that led there."""
