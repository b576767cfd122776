"""The common case of a cycle, in C. `_cycle.c` describes what it handles, and where it hands over to Python."""
