"""Device engines: the only ones with input and output. Each stands beside its deterministic twin."""
