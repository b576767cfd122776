"""One file a peer: each makes contestants for the suites it can take part in."""
