"""Layers that pool, and those that undo it."""
