"""Births of processes: the zygote forks them, a template has imported the families already."""
