"""The watch: kopf receives events and does nothing else. It writes nothing, decides nothing and posts nothing."""
