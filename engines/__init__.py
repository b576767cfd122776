"""Engines: pure behaviour. `model` defines what an engine is; the other packages are families by subject."""
