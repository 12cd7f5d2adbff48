"""LAW: the imperative shell. It observes, asks the engine, acts and reports; it knows ports, never adapters."""
