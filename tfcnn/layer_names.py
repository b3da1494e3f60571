"""Names of a network's layers that follow from its graph, and not from how many layers a process has built.

Keras numbers the layers of a process: the first convolution of a second network may be `conv2d_17`. Here a layer
without a name has the name of the network's map that it helps to compute, its kind and its number among its like there:
`stage2_conv1`, `stage2_bn1`; after the last of these maps `head_dropout1` or `decoder_conv1`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import keras

from tfcnn.graph import node_of

# The words of Keras' names that have a shorter one in the field.
SHORT = {
    "batch_normalization": "bn",
    "concatenate": "concat",
    "conv_transpose": "transposed_conv",
    "depthwise_conv": "depthwise",
    "global_average_pooling": "global_pool",
    "local_response_normalization": "lrn",
    "max_pooling": "max_pool",
    "re_lu": "relu",
    "zero_padding": "pad",
}


def name_layers(model: keras.Model, maps: Sequence[str], rest: str) -> None:
    """Name the layers that have an automatic name, and their variables, in a functional model and in those inside it.

    Args:
        model: not compiled yet: an optimiser names its variables after the model's.
        maps: names of layers, in the order of the network; those that the model lacks are passed over.
        rest: what begins the names of the layers that none of the maps needs.
    """
    map_of: dict[int, str] = {}
    names = {operation.name for operation in model.operations}
    for name in maps:
        if name in names:
            for operation in _below(model.get_layer(name)):
                map_of.setdefault(id(operation), name)
    numbers: Counter[str] = Counter()
    for operation in model.operations:
        if isinstance(operation, keras.Model):
            name_layers(operation, maps, rest)
        elif isinstance(operation, keras.layers.InputLayer):
            if is_automatic(operation):
                operation.name = "inputs"
        elif is_automatic(operation):
            stem = f"{map_of.get(id(operation), rest)}_{_kind(operation)}"
            numbers[stem] += 1
            _rename(operation, f"{stem}{numbers[stem]}")


def is_automatic(operation: keras.Operation) -> bool:
    """Whether Keras chose the name of an operation or layer.

    >>> is_automatic(keras.layers.ReLU()), is_automatic(keras.layers.ReLU(name="stage1"))
    (True, False)
    """
    return re.fullmatch(rf"{_snake_case(type(operation).__name__)}(_\d+)?", operation.name) is not None


def _below(layer: keras.layers.Layer) -> Iterator[keras.Operation]:
    """A layer, and the operations that it needs."""
    nodes = [node_of(layer.output)]
    seen = {id(nodes[0])}
    while nodes:
        node = nodes.pop()
        yield node.operation
        for source in map(node_of, node.input_tensors):
            if id(source) not in seen:
                seen.add(id(source))
                nodes.append(source)


def _kind(operation: keras.Operation) -> str:
    """What a layer is, in a word: conv, bn, relu."""
    if isinstance(operation, keras.layers.Activation):
        return str(operation.get_config()["activation"])
    word = re.sub(r"\dd(?=_|$)", "", _snake_case(type(operation).__name__))
    return SHORT.get(word, word)


def _snake_case(name: str) -> str:
    """The name of a class as Keras makes names of layers from it.

    >>> _snake_case("Conv2DTranspose"), _snake_case("ReLU")
    ('conv2d_transpose', 're_lu')
    """
    spaced = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _rename(operation: keras.Operation, name: str) -> None:
    """Give an operation another name, and its variables, whose paths Keras sets when they are created."""
    operation.name = name
    for variable in getattr(operation, "variables", []):
        _, _, rest = variable.path.partition("/")
        variable._path = f"{name}/{rest}"
