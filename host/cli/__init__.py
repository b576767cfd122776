"""The command `enginehost`: one file a command, imported only when it runs."""
