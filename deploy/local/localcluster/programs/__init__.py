"""The programs that the parts run: found, downloaded or built."""
