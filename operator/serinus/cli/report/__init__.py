"""The command `serinus report`."""
