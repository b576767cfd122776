"""Benchmarks of enginehost and of other systems (peers), measured in the same run."""
