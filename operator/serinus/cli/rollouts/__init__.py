"""The commands about Rollouts: status, list, history, explain, and those that command the operator."""
