"""The command `serinus import`."""
