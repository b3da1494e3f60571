"""Deep Compression (Han, Mao & Dally 2015, arXiv:1510.00149): pruning, shared weights, Huffman's code.

`python -m tfcnn.compress RUN` writes a folder, and `load` reads it:

    compression.json   the report: scores, and sparsity, bits, parameters and bytes of each layer
    network.json       the network without its weights, and the facts of its data
    weights.bin        the weights (tfcnn/compression/weights_file.py)
    sensitivity.png    accuracy against the sparsity of one layer at a time, with --sensitivity

>>> trained = tfcnn.compression.load("runs/RUN/compressed")   # doctest: +SKIP
>>> trained.predict(["photo.jpg"])                            # doctest: +SKIP
"""

from tfcnn.compression.folder import load

__all__ = ["load"]
