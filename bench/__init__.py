"""What we measure, and the peers measured beside us in the same run."""
