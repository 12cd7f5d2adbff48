"""The requests that the demo sends, and what became of them."""
