"""The read-only page of all Rollouts: what is read of the cluster, pure views of it, and the server."""
