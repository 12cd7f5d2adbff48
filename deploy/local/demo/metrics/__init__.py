"""What Prometheus shows of the versions, read by the demo itself."""
