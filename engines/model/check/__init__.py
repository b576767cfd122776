"""Mistakes in a family, found when it is defined or by a search: for authors and tests."""
