"""The command `serinus audit`."""
