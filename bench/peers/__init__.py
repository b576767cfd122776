"""One file per peer; each makes contestants for the suites that the peer supports."""
