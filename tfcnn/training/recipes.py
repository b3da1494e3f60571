"""Recipes: values for the flags that the user leaves out.

A recipe is data: fields of `tfcnn.config.Config`. "default" is Config's defaults for the classification of images;
segmentation, reconstruction, sounds and volumes have rows in `DEFAULT`, measured on the embedded data sets
(docs/recipes.md, by `python -m benchmarks.recipes`). "fast" is the default recipe shortened for a quick look.

"paper" sets what the paper states and this program can do, and leaves the rest at Config's defaults. Where a paper
lowers the rate when the error no longer falls, the schedule is "plateau"; no paper names its patience. The weight decay
of these papers is a term of the gradient, `l2` here, and their SGD has no Nesterov momentum unless they say so. Left
out are families whose schedule has no counterpart here (GoogLeNet, SqueezeNet, Inception-v3, Xception, MobileNetV2 and
V3, EfficientNet) and those whose paper gives no recipe.

Where --weights loads weights, "default" and "fast" are recipes of fine-tuning:

1. The layers that the weights leave fresh learn first, alone, for a tenth of the epochs: through a random head
   gradients distort the loaded features (Kumar et al. 2022, arXiv:2202.10054). As in fastai's `fine_tune`, which trains
   the head for one epoch, the rate is twice that of what follows (Howard & Gugger 2020, arXiv:2002.04688). A fresh last
   layer starts from zeros (tfcnn.weights.loading).
2. Then all layers learn at a fifth of the rate for fresh weights, or half of it in families without normalisation,
   where it is low already, by the whole schedule with its warm-up. Lower layers, whose features are general, learn more
   slowly: ULMFiT divides the rate by 2.6 from layer to layer (Howard & Ruder 2018, arXiv:1801.06146, section 3.1);
   ELECTRA and BEiT multiply it by 0.65 to 0.9 a block (Clark et al. 2020, arXiv:2003.10555; Bao et al. 2021,
   arXiv:2106.08254). Here it is 0.75 from stage to stage, so that the first of five learns at a quarter of the rate.
   Lower rates favour data like those of the weights, higher rates other data and runs of few steps
   (docs/fine_tuning.md).
3. Batch norms use the statistics of the new images from the first step, and their moving statistics forget at
   max(1 - 10 / s, 0.9) for s steps an epoch (Kornblith et al. 2019, arXiv:1805.08974, appendix).

With --freeze backbone a classification network learns its head alone, at the rate for fresh weights.

Imports neither Keras nor a backend.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models.registry import ARCHS, family_of

FAST = {"epochs": 4, "width": 0.5, "warmup_epochs": 0.5}
CHOOSING = ("recipe", "arch", "weights", "freeze", "class_weights")  # flags that decide the recipe's values
QUICK = {"epochs": 4, "warmup_epochs": 0.5}  # a trial of a search, unless its flags say otherwise

FINE_TUNING = {"layer_decay": 0.75}
HEAD_SHARE = 0.1  # of the epochs, in which the new layers learn alone
HEAD_RATE = 2  # their rate then, as a multiple of the peak rate

# By name, family or task, the first of them that is here. Peak rates: tfcnn.training.optimizers. Validation mean IoU of
# U-Net (width 0.125, shapes/easy, batch norm, no dropout, batches of 8; an empty mask has 12 %): with cross-entropy at
# a rate of 0.01 19 % after 1,100 steps; with Dice and cross-entropy at 0.005 30 % after 600, at 0.0015 60 % after 900
# and 92 % after 2,400. Of three seeds one ended at 85 % of the test images after 2,500 steps, and after 4,000 all have
# 92 % or more. Without batch norm, 300 steps of 32 images of 48 pixels end at 13 % (0.001) and 18 % (0.01).
#
# SegNet's decoder sees the last pooling's map alone, and with the paper's five poolings 96 pixels become 3x3 positions.
# Training mean IoU after 300 steps (width 0.25, rate 0.003): 15 % with five poolings, 26 % with four, 41 % with three,
# which then has 76 % after 900 steps and 94 % of the test images' after 3,000.
# No convolution is superfluous: on 16 images the loss after 150 steps is 0.31, at half of the depth 0.66; it is 0.52
# at a rate of 0.001 and 0.67 at 0.01. Large images may want `--arch-args levels=5`.
#
# M5 at width 0.5 told sine from triangle waves no better than chance and ended at 86 % of the test sounds, after 30
# epochs: triangles have overtones 19 dB and more below the tone, and the sounds differ in loudness by 19 dB, for which
# batch norm, over a batch, does not make up. From those two classes alone it learned nothing in 60 epochs; brought to
# one variance each, it had 75 % of the validation sounds in 40. With all classes 90 % then take 9 epochs, not 21, and
# the end is 100 % of the test sounds.
#
# VoxNet sees few of the orientations of 800 solids: mirrored copies alone end at 65 % (width 0.5), quarter turns and
# up to 15 degrees, in 40 epochs at a rate of 0.001, at 84 %, any angle in 120 epochs at 92 %, in 160 at 0.002 at 96 %.
# Interpolation would smooth the training volumes alone: 78 % in training and 46 % in validation at width 0.5. Solids in
# the middle of their volumes are learned faster: 71 % and 77 % after 10 epochs, where these had 62 % and 65 %.
#
# U-Net 3-D has the rate of U-Net: width 0.125 ends at 29 % mean IoU of the test solids after 8 epochs, and has not
# stopped rising. The context module was not tried.
#
# DeconvNet's fc6 makes one position of what five poolings leave of 96 pixels: 18 % of the test images' mean IoU after
# 2,500 steps (width 0.125, rate 0.0015); with three poolings and SegNet's rate 67 % of the validation images' after
# 2,000.
SEGMENTATION: dict[str, Any] = {"epochs": 25, "batch_size": 8, "loss": "dice_ce"}
NORMALISED: dict[str, Any] = {"batch_norm": True, "dropout": 0.0}
DEFAULT: dict[str, dict[str, Any]] = {
    "segmentation": SEGMENTATION,
    "unet": SEGMENTATION | {"epochs": 40, "arch_args": NORMALISED},
    "unet3d": SEGMENTATION | {"arch_args": {"batch_norm": True}},
    "fcn": SEGMENTATION | {"arch_args": NORMALISED | {"form": "same"}},
    **dict.fromkeys(("segnet", "deconvnet"), SEGMENTATION | {"epochs": 30, "arch_args": {"levels": 3}}),
    "dilated_vgg16": SEGMENTATION | {"arch_args": NORMALISED},
    "reconstruction": {"epochs": 60, "batch_size": 16},
    "audio": {"epochs": 60, "batch_size": 16, "arch_args": {"standardize": True}},
    "voxnet": {"epochs": 160, "batch_size": 16, "aa": "rand", "arch_args": {"dropout": 0.0}},
    "fast_rcnn": {
        "aa": "none",
        "epochs": 12,
        "batch_size": 8,
        "width": 0.5,
        "depth": 2.0,
        "arch_args": {"backbone": "resnet18", "stride": 4, "units": 512, "hidden": 1, "dropout": 0.3},
    },
    "rcnn": {
        "aa": "none",
        "epochs": 6,
        "batch_size": 8,
        "loss": "cross_entropy",
        "width": 0.25,
        "arch_args": {"backbone": "resnet18", "crop": 64},
    },
}

PUBLISHED = {"warmup_epochs": 0.0, "smoothing": 0.0, "weight_decay": 0.0}
SGD = PUBLISHED | {"opt": "momentum", "sched": "step"}
PLATEAU = SGD | {"sched": "plateau", "patience_epochs": 5}

# By family (the file in tfcnn/models) or by name, which precedes the family.
PAPER = {
    # Krizhevsky et al. 2012, section 5: some 90 epochs; three times a tenth when the validation error stood still.
    "alexnet": PLATEAU | {"lr": 0.01, "l2": 5e-4, "batch_size": 128, "epochs": 90},
    # Zeiler & Fergus 2013, section 3.1: the rate lowered by hand at plateaus; it names no weight decay.
    "zfnet": PLATEAU | {"lr": 0.01, "batch_size": 128, "epochs": 70},
    # Simonyan & Zisserman 2014, section 3.1: 370,000 iterations, 74 epochs; thrice a tenth at plateaus of accuracy.
    "vgg": PLATEAU | {"lr": 0.01, "l2": 5e-4, "batch_size": 256, "epochs": 74},
    # Lin et al. 2013, section 4.1, after Krizhevsky et al.: at plateaus of the training accuracy the rate falls, twice;
    # it names no rate.
    "nin": PLATEAU | {"batch_size": 128},
    # He et al. 2015, section 3.4: 600,000 iterations of ImageNet, 120 epochs; a tenth at plateaus of the error.
    "resnet": PLATEAU | {"lr": 0.1, "l2": 1e-4, "batch_size": 256, "epochs": 120},
    # He et al. 2015, section 4.2: 64,000 iterations of 50,000 images, a tenth from 32,000 and from 48,000 on.
    **dict.fromkeys(
        ("resnet20", "resnet32", "resnet44", "resnet56"),
        SGD | {"lr": 0.1, "l2": 1e-4, "batch_size": 128, "epochs": 164},
    ),
    # The same; 0.1 is too large for its first 400 iterations.
    "resnet110": SGD | {"lr": 0.1, "l2": 1e-4, "batch_size": 128, "epochs": 164, "warmup_epochs": 1.0},
    # Huang et al. 2016, section 4.2: ImageNet, there with a tenth from epochs 30 and 60 of 90 on, here from 45 and 67;
    # then CIFAR, a tenth from 50 % and from 75 % of the epochs on.
    "densenet": SGD | {"opt": "sgd", "lr": 0.1, "l2": 1e-4, "batch_size": 256, "epochs": 90},
    **dict.fromkeys(
        ("densenet40", "densenet_bc100"),
        SGD | {"opt": "sgd", "lr": 0.1, "l2": 1e-4, "batch_size": 64, "epochs": 300},
    ),
    # Howard et al. 2017, section 3.2: RMSprop, no label smoothing, little or no weight decay; it names no rate.
    "mobilenet": PUBLISHED | {"opt": "rmsprop"},
    # Long et al. 2015, section 4.3: the fixed rate of FCN-VGG16.
    "fcn": SGD | {"sched": "constant", "lr": 1e-4, "l2": 5e-4, "batch_size": 20},
    # Badrinarayanan et al. 2015, section 3.2: a fixed rate; without its weights of classes.
    "segnet": SGD | {"sched": "constant", "lr": 0.1, "batch_size": 12},
    # Noh et al. 2015, section 5.1: a tenth when the validation accuracy does not improve.
    "deconvnet": PLATEAU | {"lr": 0.01, "l2": 5e-4, "batch_size": 64},
    # Yu & Koltun 2016, section 4: the front end.
    "dilated_vgg16": SGD | {"sched": "constant", "lr": 1e-3, "batch_size": 14},
    # Maturana & Scherer 2015, section III: 0.001 times the squared norm; the rate of volumes other than LiDAR's.
    "voxnet": SGD | {"lr": 1e-3, "l2": 2e-3, "batch_size": 32},
}


def resolve(flags: dict[str, Any]) -> Config:
    """The configuration of `flags`, with the recipe's values for those that they leave out.

    Args:
        flags: fields of Config by name, as text or as values; those of `CHOOSING` choose the recipe. Of
            `arch_args` each argument replaces the recipe's, and the others stay.

    Raises:
        BadInput: a value that is not allowed, an unknown architecture, or one without a published recipe.
    """
    choice = Config(**{name: flags[name] for name in CHOOSING if name in flags})
    recipe = values(choice.recipe, choice.arch) | (FINE_TUNING if _suits_fine_tuning(choice) else {})
    if choice.class_weights != "none":  # which weigh pixels, not the areas of Dice losses
        recipe.pop("loss", None)
    arguments = recipe.get("arch_args", {}) | flags.get("arch_args", {})
    if choice.weights is not None and ("backbone" in arguments or "encoder" in arguments):
        from tfcnn.weights.expectations import scale_of_run  # imports NumPy

        recipe |= scale_of_run(choice.weights)
    return Config(**recipe | flags | {"arch_args": arguments})


def _suits_fine_tuning(config: Config) -> bool:
    head_alone = config.freeze == "backbone" and family_of(config.arch).task == "classification"
    return config.weights is not None and config.recipe != "paper" and not head_alone


def complete(config: Config) -> Config:
    """The configuration of a new run with what `resolve` sets for loaded weights, where it was built without it.

    A run that is resumed keeps its configuration: older ones do not follow the recipe of fine-tuning.
    """
    if config.resume or config.layer_decay is not None or not _suits_fine_tuning(config):
        return config
    return dataclasses.replace(config, layer_decay=FINE_TUNING["layer_decay"])


def fine_tunes(config: Config) -> bool:
    """Whether a run follows the recipe of fine-tuning: it has the recipe's layer decay, which older runs do not."""
    return _suits_fine_tuning(config) and config.layer_decay is not None


def head_epochs(config: Config) -> float:
    """Epochs at the start in which the new layers learn alone."""
    if config.head_epochs is not None:
        return config.head_epochs
    return HEAD_SHARE * config.epochs if fine_tunes(config) else 0.0


def batch_norm_momentum(steps_per_epoch: int) -> float:
    """The share of the old value in the moving statistics of a batch norm in fine-tuning.

    >>> batch_norm_momentum(39), batch_norm_momentum(1000)
    (0.9, 0.99)
    """
    return max(1 - 10 / steps_per_epoch, 0.9)


def values(recipe: str, arch: str) -> dict[str, Any]:
    """The fields of Config that a recipe sets for an architecture. Raises BadInput if it has no such recipe."""
    family = family_of(arch)
    if recipe != "paper":
        default = next((DEFAULT[key] for key in (arch, family.module, family.task) if key in DEFAULT), {})
        return default | FAST if recipe == "fast" else default
    published = PAPER.get(arch, PAPER.get(family.module))
    if published is None:
        names = [name for name, family in ARCHS.items() if name in PAPER or family.module in PAPER]
        raise BadInput(f"no published recipe of {arch} here; --recipe paper is for {', '.join(names)} (--recipe)")
    return published


def quick(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags of a trial: `flags`, and the values of `QUICK` for those they leave out.

    With a recipe among the flags nothing is filled in. With `epochs` among them the warm-up stays at Config's default;
    `warmup_epochs` alone does not change the number of epochs.

    >>> quick({"lr": 0.1}), quick({"epochs": 30}), quick({"warmup_epochs": 1})
    ({'epochs': 4, 'warmup_epochs': 0.5, 'lr': 0.1}, {'epochs': 30}, {'epochs': 4, 'warmup_epochs': 1})
    """
    if "recipe" in flags or "epochs" in flags:
        return dict(flags)
    return QUICK | flags
