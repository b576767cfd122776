"""Node files as validated data, with defaults filled in and a place for every mistake."""
