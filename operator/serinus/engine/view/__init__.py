"""What a screen or a page says of a Rollout, without saying how it looks."""
