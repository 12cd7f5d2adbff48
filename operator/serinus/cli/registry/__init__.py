"""The command `serinus registry`."""
