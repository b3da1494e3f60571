"""Detection networks: the boxes and classes of the objects in an image, from proposals."""
