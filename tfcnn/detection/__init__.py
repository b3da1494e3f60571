"""What a detector needs beside its network: boxes and their metrics. NumPy only."""
