"""The Jobs that run integration tests: names, records, pods, and which are the operator's own."""
