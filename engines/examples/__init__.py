"""Families that read like their specification; each has a node file in `configs`."""
