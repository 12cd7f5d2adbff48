"""A simulated week of many Rollouts, judged from outside by an oracle that knows the documentation only."""
