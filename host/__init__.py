"""The host: a node core without I/O (`host.node`), its drivers, configuration and command line."""
