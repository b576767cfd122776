"""The command line's side of the control socket, and the protocol that both sides speak."""
