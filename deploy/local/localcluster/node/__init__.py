"""A small node: pods as local processes, Services as forwarded addresses.

Law: what it reports is what the processes do. What it lacks, it refuses by name (offers.py).
"""
