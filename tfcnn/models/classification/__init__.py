"""Networks that name what an image, a sound or a volume shows: one paper, one file."""
