"""Who gets which share of the route: targets, planned weights, and whether the data plane carries them."""
