"""The rate of the input pipeline against others: `python -m benchmarks.input_pipeline`."""
