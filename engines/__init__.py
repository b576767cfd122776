"""Engines: pure behaviour. `model` says what an engine is; the other packages are families by subject."""
