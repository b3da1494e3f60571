"""The command line: the parser, signals, and the quiet start of TensorFlow."""
