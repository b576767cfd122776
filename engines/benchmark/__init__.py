"""Families that do as little as an engine can, so that a benchmark measures the host and not the work."""
