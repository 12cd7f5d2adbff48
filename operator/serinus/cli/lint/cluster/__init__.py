"""The part of ``serinus lint`` that asks a cluster: what the Rollouts in the files name, and what they would meet."""
