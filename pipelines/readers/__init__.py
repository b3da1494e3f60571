"""From files to examples: TensorFlow Datasets, folders, lists, arrays."""
