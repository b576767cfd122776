"""The common case of a cycle, in C. `cycle.h` says what it takes and where it hands over."""
