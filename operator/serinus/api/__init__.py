"""The API: frozen types of the objects stored in the cluster. Only parsing, encoding and comparison; no I/O."""
