"""The programs of the parts: located, downloaded or built."""
