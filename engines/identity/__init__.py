"""Identities: who may sign and read for whom, and under which name. Rules are pure; keys live in the key store."""
