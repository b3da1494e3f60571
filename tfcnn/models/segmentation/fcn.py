"""FCN: Long, Shelhamer & Darrell, "Fully convolutional networks for semantic segmentation", 2015.

Section 4.2 and Figure 3 on VGG-16. form="paper" has the border of 100 pixels before the first convolution, fc6 without
padding, and cuts each map where the authors' network files do. form="same" has no border and pads fc6, for small
images: at 32x32 pixels it needs a fortieth of the work. Both take images of any size, known when the
network is built or not; poolings keep the last row and column of odd sizes, as Caffe's do.

Differences from the paper: `score_fr` starts from random values (the paper's zeros let nothing reach the layers before
it in the first step; score_pool4 and score_pool3 do start from zero), the last up-sampling is trained with the rest
(`model.get_layer("upscore8").trainable = False` fixes it), and 134,489,759 parameters of fcn8s count up-sampling
kernels from each class to each class, of which the bilinear start uses those from a class to itself. `batch_norm` is an
addition.

The paper trains in stages: fcn32s from the classifier, fcn16s from fcn32s, fcn8s from fcn16s; `transfer` moves weights
from one to the next, and so does `python -m tfcnn.train --arch fcn16s --weights runs/FCN32S/model.keras`.
"""

from __future__ import annotations

import math
from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.layers import CropLike
from tfcnn.layers.initializers import Bilinear
from tfcnn.models.blocks import Style
from tfcnn.models.classification import vgg

BORDER = 100
# Pixels before the cut in form="paper", from the authors' network files: where the border and fc6 without padding have
# shifted the coarser map against the finer one.
OFFSET: dict[str | int, int] = {"score_pool4": 5, "score_pool3": 9, 32: 19, 16: 27, 8: 31}


def score(x: keras.KerasTensor, num_classes: int, name: str, kernel_initializer: str = "zeros") -> keras.KerasTensor:
    """1x1 convolution to a score for each class, in float32. (h, w, c) -> (h, w, num_classes)"""
    return layers.Conv2D(num_classes, 1, kernel_initializer=kernel_initializer, dtype="float32", name=name)(x)


def upscore(x: keras.KerasTensor, factor: int, form: str, name: str) -> keras.KerasTensor:
    """Up-sampling that starts as bilinear interpolation. (h, w, c) -> (factor h, factor w, c), paper: + factor"""
    padding = "valid" if form == "paper" else "same"
    layer = layers.Conv2DTranspose(
        x.shape[-1],
        2 * factor,
        factor,
        padding,
        use_bias=False,
        kernel_initializer=Bilinear(),
        dtype="float32",
        name=name,
    )
    return layer(x)


def fuse(x: keras.KerasTensor, skip: keras.KerasTensor, name: str, form: str) -> keras.KerasTensor:
    """Adds the scores of a finer map. (h, w, c), (h', w', d) -> (h, w, c)"""
    skip = score(skip, x.shape[-1], name)
    if form == "paper":  # the finer map still has the border
        skip = CropLike(OFFSET[name], dtype="float32")([skip, x])
    else:
        x = CropLike(0, dtype="float32")([x, skip])
    return layers.Add(dtype="float32")([x, skip])


def trunk(
    x: keras.KerasTensor,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    form: str = "paper",
    style: Style | None = None,
    dropout: float = 0.5,
) -> list[keras.KerasTensor]:
    """VGG-16 with fc6, fc7 as convolutions. (h, w, c) -> pool3, pool4, fc7: h / 8, h / 16, h / 32 pixels a side"""
    if form == "paper":
        x = layers.ZeroPadding2D(BORDER - 1)(x)  # conv1_1 pads one pixel more
    *_, pool3, pool4, x = vgg.trunk(
        x,
        repeats=[scale_depth(n, depth) for n in vgg.D],
        filters=[scale_width(f, width) for f in vgg.FILTERS],
        style=style,
        pool=partial(layers.MaxPooling2D, 2, padding="same"),
    )
    conv = partial(layers.Conv2D, scale_width(4096, width), activation="relu", kernel_initializer="he_normal")
    x = conv(7, padding="valid" if form == "paper" else "same", name="fc6")(x)
    x = conv(1, name="fc7")(layers.Dropout(dropout)(x))
    return [pool3, pool4, layers.Dropout(dropout)(x)]


def fcn(
    input_shape: tuple[int | None, ...] = (500, 500, 3),
    num_classes: int = 21,
    *,
    stride: int,
    width: float = 1.0,
    depth: float = 1.0,
    form: str = "paper",
    crop: bool = True,
    batch_norm: bool = False,
    dropout: float = 0.5,
    bn_momentum: float = 0.9,
    name: str = "fcn",
) -> keras.Model:
    """FCN on VGG-16.

    Args:
        input_shape: (height, width, channels), at least 32 pixels a side, or None for any.
        num_classes: logits at each pixel.
        stride: 32, 16 or 8: of the finest map that is scored.
        width: multiplier of the filters, those of fc6 and fc7 included.
        depth: multiplier of the convolutions in VGG's blocks.
        form: "paper" or "same"; see the module's docstring.
        crop: cut the last map to the image; False leaves what the border of form="paper" makes (500 pixels: 544 for
            fcn32s, 568 for fcn8s).
        batch_norm: normalise after each convolution before fc6, as in vgg16_bn.
        dropout: rate after fc6 and fc7.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, height, width, num_classes). The maps
        of VGG are named stage1 ... stage5 (strides 1, 2, 4, 8, 16), scores and up-sampling as in the authors' files.
    """
    choose("form", form, ("paper", "same"))
    if stride not in (32, 16, 8):
        raise ValueError(f"stride must be 32, 16 or 8, got {stride}")
    inputs = keras.Input(input_shape)  # 500, 500, 3
    style = Style(bn_momentum=bn_momentum) if batch_norm else None
    pool3, pool4, x = trunk(  # 88, 88; 44, 44; 16, 16
        inputs, width=width, depth=depth, form=form, style=style, dropout=dropout
    )
    x = score(x, num_classes, "score_fr", "glorot_uniform")  # 16, 16, 21
    if stride < 32:
        x = fuse(upscore(x, 2, form, "upscore2"), pool4, "score_pool4", form)  # 34, 34
    if stride < 16:
        x = fuse(upscore(x, 2, form, "upscore_pool4"), pool3, "score_pool3", form)  # 70, 70
    x = upscore(x, stride, form, f"upscore{stride}")  # 568, 568 (fcn16s: 560, fcn32s: 544)
    if crop:
        x = CropLike(OFFSET[stride] if form == "paper" else 0, dtype="float32", name="logits")([x, inputs])
    return keras.Model(inputs, x, name=name)


def transfer(source: keras.Model, target: keras.Model) -> list[str]:
    """Give `target` the weights of the stage before it, as the paper trains: VGG-16 -> FCN-32s -> FCN-16s -> FCN-8s.

    The convolutions of VGG are paired in their order, the rest by name (fc6, fc7, score_fr, score_pool4, upscore2); the
    two hidden dense layers of a classifier become fc6 and fc7. What the source lacks stays as it is: the scores of the
    finer map, which start from zero, so that the predictions start as those of the source.

    Args:
        source: a network of this file, or `vgg16` built for 224x224 pixels.
        target: a network of this file, or `dilated_vgg16`, of the same width and depth.

    Returns:
        The names of the layers of `target` that keep their fresh weights.

    Raises:
        ValueError: the networks do not fit; `target` is unchanged.

    Example:
        >>> import tfcnn
        >>> coarse, fine = (tfcnn.build(arch, (32, 32, 3), 2, width=0.02, form="same") for arch in ("fcn32s", "fcn16s"))
        >>> transfer(coarse, fine)
        ['upscore2', 'score_pool4', 'upscore16']
    """
    source_layers = _layers(source)
    target_layers = _layers(target)
    shared = [key for key in target_layers if key in source_layers and key != "logits"]
    convolutions = [sum(isinstance(key, int) for key in keys) for keys in (source_layers, target_layers)]
    if len(set(convolutions)) > 1 or not all(_fits(source_layers[key], target_layers[key]) for key in shared):
        raise ValueError(f"the layers of {source.name} do not fit those of {target.name}: build both alike")
    for key in shared:
        shapes = [weight.shape for weight in target_layers[key].weights]
        weights = source_layers[key].get_weights()
        target_layers[key].set_weights([w.reshape(shape) for w, shape in zip(weights, shapes, strict=True)])
    return [layer.name for key, layer in target_layers.items() if key not in shared]


def _layers(model: keras.Model) -> dict[str | int, layers.Layer]:
    """The layers with weights: those before fc6 by their number, fc6 and what follows by name."""
    by_key: dict[str | int, layers.Layer] = {}
    dense = iter(("fc6", "fc7", "logits"))
    for layer in model.layers:
        if layer.weights:
            name = next(dense, layer.name) if isinstance(layer, layers.Dense) else layer.name
            by_key[name if name == "fc6" or "fc6" in by_key else len(by_key)] = layer
    return by_key


def _fits(layer: layers.Layer, other: layers.Layer) -> bool:
    """Equal shapes; a dense layer after `Flatten` has a convolution's kernel with its first three axes in one."""
    measure = math.prod if isinstance(layer, layers.Dense) else tuple
    return [measure(w.shape) for w in layer.weights] == [measure(w.shape) for w in other.weights]


VARIANTS = {f"fcn{stride}s": partial(fcn, stride=stride, name=f"fcn{stride}s") for stride in (32, 16, 8)}
