"""The demo: one model in four versions, traffic, and a director that lets Serinus promote one and roll two back."""
