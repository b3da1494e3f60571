"""The configuration of a training run: each field, its help and its bounds in one place.

Standard library only, so that a mistyped flag is refused before TensorFlow is imported.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfcnn.arithmetic import scaling
from tfcnn.consistency import check_consistency
from tfcnn.errors import BadInput
from tfcnn.flag_values import channel_numbers, pixel_values_of, steps_of
from tfcnn.options import convert, flag_of, option, rules_of
from tfcnn.tasks import TASKS

OPTIMISERS = ("adamw", "adam", "sgd", "momentum", "rmsprop", "lamb", "lion")
SCHEDULES = ("cosine", "step", "constant", "plateau")
DISTRIBUTIONS = ("none", "mirrored", "multiworker")
RECIPES = ("default", "fast", "paper")
TRACKERS = ("wandb", "mlflow", "tensorboard")


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides a run. `Config()` is the main job; every field is a flag of `tfcnn.train`.

    `recipe` only records where values come from: `tfcnn.training.recipes.resolve` fills them in.

    Raises:
        BadInput: a value is not of its field's type, out of bounds, or contradicts another one.
    """

    arch: str = option("mobilenet", "architecture", aliases=("--model",), group="model")
    width: float = option(1.0, "multiplier of the network's filters", above=0, high=16)
    depth: float = option(1.0, "multiplier of the network's repeated blocks", above=0, high=16)
    phi: float = option(
        0.0, "compound scaling: more width, depth and image size at once, for 2 ** PHI times the work", low=0, high=10
    )
    compound: str = option(
        str(scaling.EFFICIENTNET), "ALPHA,BETA,GAMMA: factors of depth, width and image size for each step of --phi"
    )
    arch_args: dict = option(
        {}, "other arguments of the architecture's builder, key=value ...", aliases=("--drop=dropout",)
    )
    weights: str | None = option(
        None,
        "weights to start from, of a detector its backbone's, of a U-Net its encoder's: imagenet, or a .keras, .h5, "
        ".safetensors or .npz file [fresh weights]",
        aliases=("--pretrained=imagenet",),
    )
    freeze: str = option(
        "none", "layers whose weights stay fixed: none, backbone (all but the head), or the first N stages"
    )
    head_epochs: float | None = option(
        None,
        "epochs at the start in which the layers that --weights leaves fresh learn alone, or the last layer if there "
        "are none [a tenth of the epochs with --weights, else 0]",
        low=0,
    )
    layer_decay: float | None = option(
        None,
        "factor of the learning rate from each stage of the network to the one below it [0.75 with --weights, else 1]",
        above=0,
        high=1,
    )
    dataset: str = option(
        "digits",
        "digits, shapes, boxes, tones, solids; a name (and /config) of TensorFlow Datasets; a folder, .csv or .npz; "
        "'*.tfrecord' or '*.tar'; hf:FOLDER or hf:NAME of Hugging Face",
        group="data",
    )
    num_classes: int | None = option(None, "classes that the data must have [as many as they have]", low=1)
    data_dir: str | None = option(None, "folder of prepared data sets [TensorFlow Datasets' own]")
    dataset_module: str | None = option(
        None, "a .py file, or package.module, that registers builders of TensorFlow Datasets"
    )
    image_size: int | str | None = option(
        None,
        "side of the images, or HEIGHTxWIDTH [the data's, at least 32; 224 where it varies or files are larger than "
        "256]",
        low=1,
        high=16384,
        aliases=("--img-size",),
    )
    mean: str | None = option(
        None,
        "mean of red, green and blue in 0 ... 1, as 0.5 or 0.485,0.456,0.406 [the weights', or the data's]",
        low=0,
        high=1,
    )
    std: str | None = option(
        None, "standard deviation of red, green and blue, as --mean [the weights', or the data's]", above=0, high=1
    )
    crop_mode: str | None = option(
        None,
        "response to images of another aspect; center: crop their middle; border: pad them; squash: distort them "
        "[center to classify, else border]",
        choices=("center", "border", "squash"),
    )
    sound_length: int | None = option(
        None, "samples of each sound of a folder of .wav files: cut or padded [16000]", low=1
    )
    data_memory: int = option(2048, "MiB of memory for examples; those that do not fit are read from the disk", low=0)
    on_bad_image: str = option(
        "error", "response to an image file that cannot be used; skip: leave it out", choices=("error", "skip")
    )
    max_bad: float = option(0.1, "largest share of the files that may be left out", low=0, high=1)
    channels: str = option("auto", "place of the channels in an .npz file's inputs", choices=("auto", "first", "last"))
    mask_values: str | None = option(
        None, "value of each class in the masks, as 0,255 [0 ... k; or 0 and 255, if there are no others]"
    )
    aa: str = option(
        "light",
        "augmentation of the training images: light, shift, rand or none; shift: mirrored, and moved by up to an "
        "eighth of the sides; rand: RandAugment of two operations of magnitude 9 of 10, as rand-m9-n2-mstd0.5, and "
        "random erasing",
        group="augmentation",
    )
    hflip: float | None = option(
        None, "share of training images mirrored [0.5; 0 for written characters]", low=0, high=1
    )
    vflip: float | None = option(
        None, "share of training images, of any kind, turned upside down [as --aa has it]", low=0, high=1
    )
    scale: str | None = option(
        None,
        "LOW,HIGH: shares of an image's area that a random crop keeps; 1,1: no crop [0.25,1 above 128 pixels]",
        above=0,
        high=1,
    )
    ratio: str | None = option(
        None, "LOW,HIGH: width by height of the random crop, times that of the input [0.75,1.3333]", above=0, high=10
    )
    color_jitter: float | None = option(
        None, "multiply brightness, contrast and saturation by 1 +- up to this [as --aa has it]", low=0, high=1
    )
    reprob: float | None = option(None, "share of training images with a box erased [as --aa has it]", low=0, high=1)
    crop_margin: float | None = option(
        None,
        "enlarge training images by this share and crop at a fixed scale, instead of random crops [as --aa has it]",
        low=0,
        high=1,
    )
    mixup: float = option(0.0, "alpha of MixUp's Beta distribution; 0: none", low=0, high=10)
    cutmix: float = option(0.0, "alpha of CutMix's Beta distribution; 0: none", low=0, high=10)
    epochs: int = option(12, "passes over the training images", low=1, group="training")
    time: str | None = option(
        None,
        "budget of training and validation, 90s, 10m or 2h: sets the number of epochs, instead of --epochs, and with "
        "it the length of the schedule, from the measured speed",
    )
    batch_size: int = option(32, "images per step, of all devices together", low=1, aliases=("-b",))
    recipe: str = option(
        "default",
        "values of the flags left out; default: by task and architecture, those in [] for classes of images; fast: for "
        "a quick look; paper: as the architecture was published",
        choices=RECIPES,
    )
    opt: str = option(
        "adamw", "optimiser; sgd: with Nesterov's momentum; momentum: with the classical one", choices=OPTIMISERS
    )
    sched: str = option(
        "cosine",
        "learning rate; step: a tenth at 50 % and 75 % of the run; plateau: a tenth, see --patience-epochs",
        choices=SCHEDULES,
    )
    patience_epochs: int = option(
        3, "epochs without a lower validation loss before --sched plateau divides the rate by 10", low=1
    )
    lr: float | str | None = option(
        None,
        "peak learning rate; auto: by a range test before the training, drawn in lr_finder.png [by architecture and "
        "optimiser; with --weights a fifth or half]",
        above=0,
        high=100,
        words=("auto",),
    )
    min_lr: float = option(0.0, "learning rate below which cosine and plateau do not go", low=0, high=100)
    warmup_lr: float | None = option(
        None, "learning rate at the start of the warm-up [a hundredth of the peak]", low=0, high=100
    )
    clip_grad: float | None = option(None, "largest global norm of the gradients [none]", above=0)
    grad_accum_steps: int = option(1, "batches whose gradients are averaged for one update", low=1)
    grad_checkpoint: bool = option(
        False, "keep few activations for the backward pass and compute the others again: less memory, a slower step"
    )
    model_ema: float | None = option(
        None,
        "decay of a moving average of the weights, which is then validated and kept [none]",
        above=0,
        high=0.999999,
    )
    warmup_epochs: float = option(1.0, "epochs of linear warm-up before the schedule", low=0)
    loss: str | None = option(
        None,
        "; ".join(f"{name}: {', '.join(task.losses)}" for name, task in TASKS.items()) + " [the first]",
        choices=tuple(dict.fromkeys(loss for task in TASKS.values() for loss in task.losses)),
    )
    class_weights: str = option(
        "none",
        "weights of the classes in the loss; balanced: examples / (classes * examples of the class), for imbalanced "
        "data",
        choices=("none", "balanced"),
    )
    class_sampling: str = option(
        "none",
        "choice of an epoch's examples; none: each once; balanced: as many of each class, those of small ones repeated",
        choices=("none", "balanced"),
    )
    early_stop: int = option(0, "stop after this many epochs without a better validation accuracy; 0: never", low=0)
    weight_decay: float | None = option(
        None, "decoupled weight decay, on kernels only [by optimiser]", low=0, high=10, group="regularisation"
    )
    l2: float = option(0.0, "penalty added to the loss: L2 / 2 times the sum of the squared kernels", low=0, high=10)
    max_norm: float | None = option(None, "largest L2 norm of each filter [none]", above=0)
    smoothing: float = option(0.1, "label smoothing of classification", low=0, high=0.99)
    drop_path: float | None = option(
        None, "share of examples that skip a block, in architectures that allow it", low=0, high=0.99
    )
    precision: str = option(
        "auto",
        "number format; auto: mixed on GPU, and on CPUs that multiply in bfloat16 for networks that are faster in it",
        choices=("auto", "float32", "mixed_float16", "mixed_bfloat16"),
        group="precision and speed",
    )
    kernels: str = option(
        "fused",
        "how batch norms, convolutions and the optimiser compute; fused: faster; keras: as Keras does",
        choices=("fused", "keras"),
    )
    jit: str = option(
        "auto", "compile the steps with XLA; auto: on a GPU, where the network can", choices=("auto", "on", "off")
    )
    steps_per_execution: str = option(
        "auto",
        "training steps that are computed in one go, which changes no result; auto: as many as take a tenth of a "
        "second, 1 with --model-ema, --tensorboard or --profile, which read each step",
    )
    distribution: str = option(
        "none",
        "several devices; mirrored: all of this machine; multiworker: one process each, numbered by TF_CONFIG",
        choices=DISTRIBUTIONS,
    )
    seed: int = option(0, "seed of weights, order and augmentation", low=0, high=2**31 - 1, group="run")
    out: str | None = option(None, "run directory to create [runs/ARCH-DATASET-TIME]", aliases=("-o",))
    resume: bool = option(False, "continue the run in --out from its newest checkpoint")
    checkpoint_every: int | None = option(
        None, "steps between checkpoints within an epoch [a minute's]; each epoch ends with one", low=1
    )
    log: str | None = option(
        None,
        "one or more trackers, which get flags, metrics and results; wandb and mlflow have environment variables that "
        "say where [none]",
        choices=TRACKERS,
        several=True,
    )
    tensorboard: bool = option(
        False,
        "as --log tensorboard: scalars, graph, a batch of images and HParams in tensorboard/ in the run directory",
    )
    profile: str | None = option(
        None, "profile steps A-B of the run, counted from 1, for TensorBoard; with or without --tensorboard"
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = convert(flag_of(field.name), str(field.type), rules_of(field), getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        if "tensorboard" in self.trackers:
            object.__setattr__(self, "tensorboard", True)
        check_consistency(self)

    @property
    def trackers(self) -> tuple[str, ...]:
        """The names of --log and --tensorboard."""
        names = self.log.split(",") if self.log else []
        return (*names, "tensorboard") if self.tensorboard and "tensorboard" not in names else tuple(names)

    @property
    def readers_of_steps(self) -> list[str]:
        """The fields in use that read each training step."""
        return [name for name in ("model_ema", "tensorboard", "profile") if getattr(self, name)]

    @property
    def steps_per_call(self) -> int | None:
        """Training steps in one call of TensorFlow; None: as many as the measured speed makes worthwhile.

        Workers whose calls differed in length would wait for one another for ever: TensorFlow pairs their sums by the
        index of the iteration in a call's loop.
        """
        if self.steps_per_execution == "auto":
            return 1 if self.readers_of_steps or self.distribution == "multiworker" else None
        return int(self.steps_per_execution)

    @property
    def overrides(self) -> dict[str, Any]:
        """The arguments of the architecture's builder that this configuration sets."""
        drop_path = {} if self.drop_path is None else {"drop_path": self.drop_path}
        scale = self.multipliers
        return {"width": self.width * scale.width, "depth": self.depth * scale.depth} | drop_path | self.arch_args

    @property
    def multipliers(self) -> scaling.Scaling:
        """The factors of --phi for width, depth and the side of the images."""
        constants = scaling.constants_of(self.compound)
        assert constants is not None  # by __post_init__
        return scaling.compound(self.phi, constants, size=1)

    def input_sides(self, axes: int = 2) -> tuple[int, ...] | None:
        """The sides that --image-size gives inputs of so many axes; None without it.

        Raises:
            BadInput: HEIGHTxWIDTH for sounds or volumes.
        """
        if self.image_size is None:
            return None
        sides = tuple(map(int, str(self.image_size).split("x")))
        if len(sides) == 1:
            return sides * axes
        if axes != 2:
            raise BadInput(f"--image-size {self.image_size} is for images, and {self.arch} takes none: give one number")
        return sides

    def scaled_side(self, side: int) -> int:
        """The side of the images, in pixels, scaled by --phi."""
        return round(side * self.multipliers.resolution)

    @property
    def listed_mask_values(self) -> tuple[int, ...] | None:
        """The numbers of --mask-values; None: there are none, or they are not as they must be."""
        return pixel_values_of(self.mask_values)

    @property
    def profiled_steps(self) -> tuple[int, int] | None:
        """The first and the last step to profile, counted from 1; None: no step, or --profile is not A-B."""
        return steps_of(self.profile)

    @property
    def standardisation(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """The numbers of --mean and --std, three each; None without them."""
        if self.mean is None or self.std is None:
            return None
        return channel_numbers(self.mean) or (), channel_numbers(self.std) or ()

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as in config.json; `Config(**fields)` is this configuration again."""
        return dataclasses.asdict(self)
