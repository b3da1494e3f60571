"""Networks that name what each position shows: one paper, one file."""
