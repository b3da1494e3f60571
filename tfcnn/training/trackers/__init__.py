"""Trackers of experiments, which --log names: Weights & Biases, MLflow, TensorBoard."""
