"""YAML to validated data: what a node file says, with defaults filled in and every mistake located."""
