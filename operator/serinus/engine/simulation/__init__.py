"""Pure simulation of a Rollout: its plan against synthetic or recorded traffic, with the engine's own judgement."""
