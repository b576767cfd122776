"""The host: a node core without I/O (`host.node`), its drivers, its configuration and its command line."""
