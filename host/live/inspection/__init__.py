"""Inspects families in a child process: the supervisor and the command line never import one."""
