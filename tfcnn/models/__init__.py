"""The networks: one paper, one file; `registry` has them by name."""
