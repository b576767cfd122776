"""Storage: content-addressed, encrypted chunks; who may read them, and how long they are kept."""
