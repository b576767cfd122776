"""The supervisor's end of the control socket: performs each request and answers it."""
