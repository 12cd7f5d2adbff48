"""LAW: what is stored in the cluster, typed and frozen. No behaviour beyond parse, dump and compare; no I/O."""
