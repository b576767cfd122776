"""Bytes between processes: lanes, doorbells, ZeroMQ links, frames. Knows no engine and no host."""
