"""The configuration of a training run: each field, its help and its bounds in one place.

Standard library only: a mistyped flag is answered before TensorFlow is imported.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tfcnn.arithmetic import scaling
from tfcnn.errors import BadInput
from tfcnn.tasks import LOSS_NAMES

OPTIMISERS = ("adamw", "adam", "sgd", "momentum", "rmsprop", "lamb", "lion")
SCHEDULES = ("cosine", "step", "constant", "plateau")
DISTRIBUTIONS = ("none", "mirrored", "multiworker")
RECIPES = ("default", "fast", "paper")


def option(default: Any, help: str, **rules: Any) -> Any:
    """A field of `Config`. Rules: choices, low and high (inclusive), above (exclusive), flag (if not the name)."""
    rules["help"] = help
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=rules)
    return dataclasses.field(default=default, metadata=rules)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides a run. `Config()` is the main job; every field is a flag of `tfcnn.train`.

    `recipe` only says where values came from: `tfcnn.training.recipes.resolve` is what fills them in.
    """

    arch: str = option("mobilenet", "architecture")
    width: float = option(1.0, "multiplier of the network's filters", above=0, high=16)
    depth: float = option(1.0, "multiplier of the network's repeated blocks", above=0, high=16)
    phi: float = option(
        0.0, "compound scaling: more width, depth and image size at once, for 2 ** PHI times the work", low=0, high=10
    )
    compound: str = option(
        str(scaling.EFFICIENTNET), "ALPHA,BETA,GAMMA of --phi: what depth, width and image size grow by for each"
    )
    arch_args: dict = option({}, "other arguments of the architecture's builder, key=value ...")
    weights: str | None = option(
        None, "weights to start from: imagenet, or a .keras, .h5, .safetensors or .npz file [fresh ones]"
    )
    freeze: str = option("none", "what keeps its weights: none, backbone (all but the head), or the first N stages")
    dataset: str = option(
        "digits",
        "digits, shapes, boxes, tones, solids; a name (and /config) of TensorFlow Datasets; a folder, .csv or .npz",
    )
    data_dir: str | None = option(None, "folder of prepared data sets [TensorFlow Datasets' own]")
    image_size: int | None = option(None, "side of the images [the data's, at least 32; 224 where it varies]", low=1)
    data_memory: int = option(
        2048, "MiB that examples may take in memory; what does not fit is read from the disk", low=0
    )
    on_bad_image: str = option(
        "error", "what an image file that cannot be used leads to; skip: it is left out", choices=("error", "skip")
    )
    max_bad: float = option(0.1, "largest share of the files that is left out", low=0, high=1)
    aa: str = option(
        "light",
        "augmentation of the training images; rand: RandAugment and random erasing",
        choices=("light", "rand", "none"),
    )
    hflip: float | None = option(
        None, "share of training images mirrored [0.5; 0 for written characters]", low=0, high=1
    )
    color_jitter: float | None = option(
        None, "brightness, contrast and saturation times a factor in 1 +- this [that of --aa]", low=0, high=1
    )
    reprob: float | None = option(
        None, "share of training images a box of which is erased [that of --aa]", low=0, high=1
    )
    crop_margin: float | None = option(
        None,
        "cut windows of a fixed scale from images larger by this share, not random crops [that of --aa]",
        low=0,
        high=1,
    )
    mixup: float = option(0.0, "alpha of MixUp's Beta distribution; 0: none", low=0, high=10)
    cutmix: float = option(0.0, "alpha of CutMix's Beta distribution; 0: none", low=0, high=10)
    epochs: int = option(12, "passes over the training images", low=1)
    time: str | None = option(
        None,
        "budget of training and validation, 90s, 10m or 2h: sets the number of epochs, in place of --epochs, from the "
        "speed that is measured, and with it the length of the schedule",
    )
    batch_size: int = option(32, "images per step, of all devices together", low=1)
    distribution: str = option(
        "none",
        "several devices; mirrored: all of this machine; multiworker: a process for each, told apart by TF_CONFIG",
        choices=DISTRIBUTIONS,
    )
    recipe: str = option(
        "default",
        "values for the flags that are not given; fast: a quick look; paper: as the architecture was published",
        choices=RECIPES,
    )
    opt: str = option("adamw", "optimiser; sgd is with Nesterov's momentum, momentum without", choices=OPTIMISERS)
    sched: str = option(
        "cosine",
        "learning rate; step: a tenth at 50 % and 75 % of the run; plateau: a tenth, see --patience-epochs",
        choices=SCHEDULES,
    )
    patience_epochs: int = option(
        3, "epochs without a lower validation loss after which --sched plateau takes a tenth of the rate", low=1
    )
    lr: float | None = option(None, "peak learning rate [what suits the architecture and optimiser]", above=0, high=100)
    weight_decay: float | None = option(
        None, "decoupled weight decay, on kernels only [what suits the optimiser]", low=0, high=10
    )
    l2: float = option(0.0, "penalty added to the loss: L2 / 2 times the sum of the squared kernels", low=0, high=10)
    max_norm: float | None = option(None, "largest L2 norm of each filter [none]", above=0)
    clip_grad: float | None = option(None, "largest global norm of the gradients [none]", above=0)
    grad_accum_steps: int = option(1, "batches whose gradients are averaged for one update", low=1)
    model_ema: float | None = option(
        None, "decay of the weights' moving average, which is what is validated and kept [none]", above=0, high=0.999999
    )
    warmup_epochs: float = option(1.0, "epochs of linear warm-up before the schedule", low=0)
    loss: str | None = option(
        None,
        "; ".join(f"{task}: {', '.join(names)}" for task, names in LOSS_NAMES.items()) + " [the first]",
        choices=tuple(dict.fromkeys(name for names in LOSS_NAMES.values() for name in names)),
    )
    smoothing: float = option(0.1, "label smoothing of classification", low=0, high=0.99)
    drop_path: float | None = option(
        None, "share of examples for which a block is left out, where the architecture can", low=0, high=0.99
    )
    early_stop: int = option(0, "stop after this many epochs without a better validation accuracy; 0: never", low=0)
    precision: str = option(
        "auto",
        "number format; auto: mixed on GPU, and on CPUs that multiply in bfloat16 for networks of dense convolutions",
        choices=("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    kernels: str = option(
        "fused",
        "what batch norms, convolutions and the optimiser run on; fused: TensorFlow's own kernels in one piece; keras: "
        "Keras' many small operations",
        choices=("fused", "keras"),
    )
    jit: str = option(
        "auto", "compile the steps by XLA; auto: on a GPU, where the network can", choices=("auto", "on", "off")
    )
    steps_per_execution: str = option(
        "auto",
        "training steps in one call of TensorFlow, which changes no result; auto: as many as take a tenth of a second, "
        "1 with --model-ema, --tensorboard or --profile, which look at each",
    )
    seed: int = option(0, "seed of weights, order and augmentation", low=0, high=2**31 - 1)
    out: str | None = option(None, "run directory to create [runs/ARCH-DATASET-TIME]")
    resume: bool = option(False, "continue the run in --out where its newest checkpoint is")
    checkpoint_every: int | None = option(
        None, "steps between checkpoints within an epoch [a minute]; there is one after each epoch", low=1
    )
    tensorboard: bool = option(
        False, "also write scalars, graph and a batch of images for TensorBoard to tensorboard/ in the run directory"
    )
    profile: str | None = option(
        None, "profile steps A-B of the run, counted from 1, for TensorBoard; with or without --tensorboard"
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))
        if self.time is not None:  # and whether the warm-up fits is seen when the epochs are
            seconds_of(self.time)
        elif self.warmup_epochs > self.epochs:
            raise BadInput(
                f"--warmup-epochs {self.warmup_epochs:g} is more than --epochs {self.epochs}: "
                f"lower one or raise the other"
            )
        if self.profile is not None and not self.profiled_steps:
            raise BadInput(f"--profile must be two steps A-B from 1 up, as in 20-25, got '{self.profile}'")
        if scaling.constants_of(self.compound) is None:
            raise BadInput(f"--compound must be three numbers ALPHA,BETA,GAMMA from 1 to 4, got '{self.compound}'")
        for key, flag in {"input_shape": "--image-size", "num_classes": "--dataset"}.items():
            if key in self.arch_args:
                raise BadInput(f"--arch-args cannot set {key}: it follows from {flag}")
        if self.freeze not in ("none", "backbone") and not (self.freeze.isascii() and self.freeze.isdigit()):
            raise BadInput(f"--freeze must be none, backbone or a number of stages, got '{self.freeze}'")
        if self.steps_per_execution != "auto":
            self._check_steps_per_execution()
        if self.resume and self.out is None:
            raise BadInput("--resume needs the run directory to continue: --out DIR")
        if self.distribution == "multiworker" and self.out is None:
            raise BadInput("--distribution multiworker needs the run directory that all workers see: --out DIR")
        if self.distribution != "none" and self.time is not None:
            raise BadInput("--time measures one device: give --epochs with --distribution")

    def _check_steps_per_execution(self) -> None:
        given = self.steps_per_execution
        if not (given.isascii() and given.isdigit() and int(given) >= 1):
            raise BadInput(f"--steps-per-execution must be auto or a whole number at least 1, got '{given}'")
        if int(given) > 1 and self.steps_looked_at:
            raise BadInput(
                f"--steps-per-execution {given} hides single steps from {flag_of(self.steps_looked_at[0])}: "
                f"leave one of them out"
            )

    @property
    def steps_looked_at(self) -> list[str]:
        """The fields that ask for something after each training step."""
        return [name for name in ("model_ema", "tensorboard", "profile") if getattr(self, name)]

    @property
    def steps_per_call(self) -> int | None:
        """Training steps in one call of TensorFlow; None: as many as are worth it.

        Workers that each divided steps by their own speed would wait for one another for ever: TensorFlow pairs their
        sums by the number of the turn in a loop.
        """
        if self.steps_per_execution == "auto":
            return 1 if self.steps_looked_at or self.distribution == "multiworker" else None
        return int(self.steps_per_execution)

    @property
    def overrides(self) -> dict[str, Any]:
        """The arguments of the architecture's builder that this configuration sets."""
        drop_path = {} if self.drop_path is None else {"drop_path": self.drop_path}
        scale = self.multipliers
        return {"width": self.width * scale.width, "depth": self.depth * scale.depth} | drop_path | self.arch_args

    @property
    def multipliers(self) -> scaling.Scaling:
        """What --phi multiplies width, depth and the side of the images by."""
        return scaling.compound(self.phi, scaling.constants_of(self.compound), size=1)

    def scaled_side(self, side: int) -> int:
        """The side of the images, in pixels, that --phi makes of `side`."""
        return round(side * self.multipliers.resolution)

    @property
    def profiled_steps(self) -> tuple[int, int] | None:
        """The first and the last step to profile, from 1 up; None: no step."""
        first, _, last = (self.profile or "").partition("-")
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
            return None
        return int(first), int(last)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name: what config.json holds and `Config(**fields)` takes."""
        return dataclasses.asdict(self)


def seconds_of(text: str) -> float:
    """The value of --time in seconds. Raises BadInput.

    >>> seconds_of("90s"), seconds_of("1.5m"), seconds_of("2h")
    (90.0, 90.0, 7200.0)
    """
    number, unit = _number(text[:-1]), {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    if unit is None or number is None or number <= 0:
        raise BadInput(f"--time must be a number above 0 with s, m or h, as in 90s, 10m or 2h, got '{text}'")
    return float(number * unit)


def flag_of(name: str) -> str:
    """The flag of a field: batch_size -> --batch-size."""
    return "--" + name.replace("_", "-")


KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "dict": "key=value pairs",
}


def _checked(field: dataclasses.Field, value: Any) -> Any:
    """The value in its field's type, text read as a number where one is due. Raises BadInput."""
    rules, flag, kind = field.metadata, flag_of(field.name), field.type.removesuffix(" | None")
    if value is None and field.type != kind:
        return None
    limits = {"above": "above {}", "low": "at least {}", "high": "at most {}"}
    bounds = " and ".join(text.format(rules[key]) for key, text in limits.items() if key in rules)
    refused = BadInput(f"{flag} must be {KINDS[kind]} {bounds}".rstrip() + f", got '{value}'")

    if kind in ("int", "float"):
        number = _number(value)
        if number is None or (kind == "int" and number != int(number)):
            raise refused
        inside = rules.get("above", -math.inf) < number and rules.get("low", number) <= number
        if not inside or number > rules.get("high", math.inf):
            raise refused
        return int(number) if kind == "int" else float(number)
    if not isinstance(value, {"str": str, "bool": bool, "dict": dict}[kind]):
        raise refused
    if value not in rules.get("choices", (value,)):
        raise BadInput(f"{flag} must be one of {', '.join(rules['choices'])}, got '{value}'")
    return value


def _number(value: Any) -> float | int | None:
    """A finite number from a number or its text, or None."""
    try:
        number = (
            (int(value) if value.strip().lstrip("+-").isdigit() else float(value)) if isinstance(value, str) else value
        )
        return number if not isinstance(number, bool) and math.isfinite(number) else None
    except (TypeError, ValueError):
        return None
