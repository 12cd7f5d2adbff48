"""What the reconcilers ask of the outside: typed records and the protocols of the adapters."""
