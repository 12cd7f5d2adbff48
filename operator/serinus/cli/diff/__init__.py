"""The command `serinus diff`."""
