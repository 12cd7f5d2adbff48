"""PLUMBING: kopf takes events in and nothing else. It writes nothing, decides nothing and posts nothing."""
