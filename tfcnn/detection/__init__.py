"""Boxes, region proposals and the metrics of detections. NumPy and SciPy; proposals need scikit-image."""
