"""The command `serinus check`."""
