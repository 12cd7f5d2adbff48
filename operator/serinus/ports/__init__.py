"""The ports: the protocols of the adapters, and the typed records that they exchange."""
