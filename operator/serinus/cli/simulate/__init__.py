"""``serinus simulate``: a plan against synthetic traffic, a recording or a Prometheus."""
