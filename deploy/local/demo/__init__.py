"""The demo: one model in four versions, live traffic, and a director that has Serinus promote one and roll two back."""
