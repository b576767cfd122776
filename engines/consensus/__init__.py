"""Consensus: the order of batches, from a single source."""
