"""Protocols: state machines in markdown that people read and a validator decides by. Pure, without input or output."""
