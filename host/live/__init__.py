"""Processes, sockets, clocks: the driver that runs a node for real."""
