"""Faults at every call of the operator: the points, the programs around the operator, and what each point must show."""
