"""Families looked at in a throw-away child: the supervisor and the command line never import one."""
