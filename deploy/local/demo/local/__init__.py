"""The demo in the project's own local cluster: it starts the operator itself."""
