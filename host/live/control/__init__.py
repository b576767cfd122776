"""Both ends of the control socket: the command line's client, and what the supervisor answers."""
