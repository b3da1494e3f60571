"""The command line: the parser, signals, and the quiet import of TensorFlow."""
