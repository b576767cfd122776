"""The keeper of agents' processes: what outlives the node, so that a new engine finds its agents still at work.

One keeper runs for each root. It forks one launcher for each session; the launcher is the parent of the agent, and the
subreaper of all that the agent starts. The keeper listens at a unix socket for orders, one JSON object a line; the
device `engines/devices/launcher.py` gives them. Only Python's standard library is used here, and a launcher is a fork
of the keeper, so that it shares its memory.

States of a session, and the files in `<root>/engine/sessions/<agent>/<session>/` that show them:

| state | files | next |
|---|---|---|
| prepared | `token.json`, and the token in the workspace | `launch` |
| running | and `stdin`, `launcher.json`, `given.json`, `stdout.log`, `stderr.log` | the agent exits, or `end` |
| exited | and `exit.json` | `forget` |
| noted | and `noted` | removed when newer sessions have taken its place |

Crash points. The keeper dies: launchers and agents go on, and the standard input stays open, since each launcher holds
it; the next keeper reads the files, watches launchers that run, and reports exits that nobody noted. A launcher dies:
the kernel kills the agent; the keeper ends what is left of the tree, and writes `exit.json` with the reason `lost`. The
device or the engine dies: nothing happens here; `hello` tells a new device everything. Between `prepare` and `launch`:
a second `prepare` of the same session returns the same digest. Each file is written whole (`files.write_whole`).
"""
