"""Programs of the demo that need nothing but Python's standard library: they run in any image that has Python."""
