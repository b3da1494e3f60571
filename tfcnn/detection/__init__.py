"""Boxes and the metrics of detections. NumPy only."""
