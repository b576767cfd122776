"""Sequence charts. Pure."""
