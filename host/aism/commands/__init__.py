"""The commands of `aism`, by their first word: `host.aism.table` names them, and a call imports one of them."""
