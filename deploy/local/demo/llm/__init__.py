"""The demo of a large language model: a version whose first token is slow is rolled back by ``ttft_p95``."""
