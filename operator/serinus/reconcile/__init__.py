"""The controllers: they observe, let the engine decide, act and report. They know ports, never adapters."""
