"""The supervisor's end of the control socket: what each request does, and what it answers."""
