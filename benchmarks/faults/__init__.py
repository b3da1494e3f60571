"""Harnesses that injure what they run: training, a search, image files. Tests import them."""
