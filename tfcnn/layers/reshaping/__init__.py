"""Layers that change the size of a map and nothing in it."""
