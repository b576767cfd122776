"""Mempool: transactions are collected in batches and acknowledged."""
