"""Protocols from the literature as families, each a system that the checker explores."""
