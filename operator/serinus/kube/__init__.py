"""PLUMBING: the only room that speaks to the Kubernetes API. Raw objects end here; records and errors of ours leave."""
