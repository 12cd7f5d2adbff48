"""The command `serinus lint`."""
