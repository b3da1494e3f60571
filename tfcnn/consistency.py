"""Values of flags that contradict one another, or texts that are not of their form.

The type of a configuration is tfcnn.config.Config, whose module imports this one.
"""

from __future__ import annotations

from typing import Any

from tfcnn.arithmetic import scaling
from tfcnn.errors import BadInput
from tfcnn.flag_values import channel_numbers, randaugment_of, range_of, seconds_of, whole_number
from tfcnn.options import flag_of

Config = Any


def check_consistency(config: Config) -> None:
    """Raises BadInput for the first contradiction, with the flags to change."""
    _check_epochs(config)
    _check_texts(config)
    _check_rates(config)
    _check_augmentation(config)
    if config.steps_per_execution != "auto":
        _check_steps_per_execution(config)
    if config.class_weights == "balanced":
        _check_class_weights(config)
    if config.grad_checkpoint:
        _check_grad_checkpoint(config)
    if config.resume and config.out is None:
        raise BadInput("--resume needs the run directory to continue: --out DIR")
    if config.distribution == "multiworker" and config.out is None:
        raise BadInput("--distribution multiworker needs the run directory that all workers see: --out DIR")
    if config.distribution != "none" and config.time is not None:
        raise BadInput("--time measures one device: give --epochs with --distribution")
    if config.distribution != "none" and config.lr == "auto":
        raise BadInput("--lr auto tests one device: give a number with --distribution")
    if config.distribution == "mirrored" and config.grad_accum_steps > 1:  # Keras decides on an update within a branch
        raise BadInput(
            f"--distribution mirrored updates at each step, got --grad-accum-steps {config.grad_accum_steps}: "
            f"leave it out, or take --distribution multiworker"
        )


def _check_epochs(config: Config) -> None:
    if config.time is not None:  # the warm-up is checked once the speed has set the epochs
        seconds_of(config.time)
    elif config.warmup_epochs > config.epochs:
        raise BadInput(
            f"--warmup-epochs {config.warmup_epochs:g} is more than --epochs {config.epochs}: "
            f"lower one or raise the other"
        )
    elif config.head_epochs and config.head_epochs + config.warmup_epochs > config.epochs:
        raise BadInput(
            f"--head-epochs {config.head_epochs:g} and --warmup-epochs {config.warmup_epochs:g} after them are more "
            f"than --epochs {config.epochs}: lower one or raise the last"
        )
    if config.head_epochs and config.weights is None and not config.resume:
        raise BadInput(f"--head-epochs {config.head_epochs:g} is for networks with loaded weights: give --weights")


def _check_rates(config: Config) -> None:
    if config.min_lr and config.sched not in ("cosine", "plateau"):
        raise BadInput(f"--min-lr {config.min_lr:g} is for --sched cosine or plateau, got {config.sched}: leave it out")


def _check_augmentation(config: Config) -> None:
    randaugment_of(config.aa)
    for flag, text, high in (("--scale", config.scale, 1), ("--ratio", config.ratio, 10)):
        if text is not None and range_of(text, high) is None:
            raise BadInput(f"{flag} must be two numbers LOW,HIGH above 0 and at most {high}, got '{text}'")
    if config.scale is not None and config.crop_margin is not None:
        raise BadInput("--scale crops at random scales and --crop-margin at a fixed one: leave one of the two out")


def _check_texts(config: Config) -> None:
    if config.profile is not None and not config.profiled_steps:
        raise BadInput(f"--profile must be two steps A-B from 1 up, as in 20-25, got '{config.profile}'")
    if scaling.constants_of(config.compound) is None:
        raise BadInput(f"--compound must be three numbers ALPHA,BETA,GAMMA from 1 to 4, got '{config.compound}'")
    for key, flag in {"input_shape": "--image-size", "num_classes": "--dataset"}.items():
        if key in config.arch_args:
            raise BadInput(f"--arch-args cannot set {key}: it follows from {flag}")
    if config.freeze not in ("none", "backbone") and whole_number(config.freeze) is None:
        raise BadInput(f"--freeze must be none, backbone or a number of stages, got '{config.freeze}'")
    if config.mask_values is not None and config.listed_mask_values is None:
        raise BadInput(
            f"--mask-values must be two or more different whole numbers from 0 to 255, as 0,255, "
            f"got '{config.mask_values}'"
        )
    if (config.mean is None) != (config.std is None):
        raise BadInput("--mean and --std standardise the images together: give both or neither")
    for flag, text in (("--mean", config.mean), ("--std", config.std)):
        if text is not None and channel_numbers(text, positive=flag == "--std") is None:
            least = "above 0" if flag == "--std" else "0"
            raise BadInput(f"{flag} must be one number, or three as 0.5,0.5,0.5, from {least} to 1, got '{text}'")


def _check_steps_per_execution(config: Config) -> None:
    steps = config.steps_per_execution
    if not whole_number(steps):
        raise BadInput(f"--steps-per-execution must be auto or a whole number at least 1, got '{steps}'")
    if int(steps) > 1 and config.readers_of_steps:
        raise BadInput(
            f"--steps-per-execution {steps} hides single steps from {flag_of(config.readers_of_steps[0])}: "
            f"leave one of the two out"
        )


def _check_grad_checkpoint(config: Config) -> None:
    if config.jit == "on":
        raise BadInput(
            "--jit on lets XLA merge the second computation of --grad-checkpoint with the first: leave one of them out"
        )
    if config.distribution != "none":
        raise BadInput(f"--grad-checkpoint is for one device: leave it or --distribution {config.distribution} out")


def _check_class_weights(config: Config) -> None:
    if config.class_sampling == "balanced":
        raise BadInput(
            "--class-weights balanced and --class-sampling balanced both make up for the imbalance: leave one out"
        )
    if config.mixup or config.cutmix:
        raise BadInput(
            "--class-weights balanced weighs an example by its class, and --mixup and --cutmix give it two: "
            "leave them out, or take --class-sampling balanced"
        )
    if config.loss in ("dice", "dice_ce"):
        raise BadInput(
            f"--class-weights balanced weighs single pixels, and --loss {config.loss} compares areas, each class "
            f"alike: leave one of the two out"
        )
