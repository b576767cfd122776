"""The commands, one file each; `command` in each is the click command."""
