"""Worker processes: each trains one trial after another."""
