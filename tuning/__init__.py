"""Hyperparameter search: samples values and calls tfcnn with them; declares no layers."""
