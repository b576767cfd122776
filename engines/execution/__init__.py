"""Execution: transactions in order, run against keys that keep every version."""
