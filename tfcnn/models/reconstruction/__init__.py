"""Networks that give an image from itself: one paper, one file."""
