"""A small node: pods run as local processes, Services are forwarded addresses.

The reported status always reflects the processes. Unsupported features are refused by name (offers.py).
"""
