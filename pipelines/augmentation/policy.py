"""What augmentation does, as plain values, and the named policies. This file imports no TensorFlow."""

from __future__ import annotations

import dataclasses

from pipelines.bounds import check_number
from pipelines.errors import BadData

LARGE = 128  # side from which images are cropped like photographs; smaller ones are turned and shifted
SHIFT = 1 / 8  # of the sides: the 4 pixels of 32 by which images of CIFAR are padded (He et al. 2015, section 4.2)
NAMES = ("none", "shift", "light", "rand")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What happens to training examples; `Augmentation()` is nothing.

    `pipelines.preparation` applies `scale`, `ratio` and `margin` as it reads an image; `mixup.mix` applies `mixup` and
    `cutmix` to the finished batch; `augment.augment` applies all others.
    """

    scale: tuple[float, float] = (1.0, 1.0)  # share of the area that a random resized crop keeps; (1, 1): no crop
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # width by height of that crop
    margin: float = 0.0  # instead of that crop: a window of the image, whose shorter side is longer by this share
    hflip: float = 0.0  # probability
    vflip: float = 0.0  # probability; of waveforms, of the opposite sign
    quarter_turns: bool = False  # of volumes, any number in each plane
    degrees: float = 0.0  # rotation, uniformly in +-degrees
    translate: float = 0.0  # shift, uniformly in +-translate of the side; alone by whole pixels
    zoom: float = 0.0  # magnification, of waveforms the duration: exp of a number uniformly in +-zoom
    color_jitter: float = 0.0  # brightness, contrast and saturation, each times a factor uniformly in 1 +- this
    # (operations an image, magnitude 0 ... 10), and the standard deviation of the magnitude, if it varies
    randaugment: tuple[int, float] | tuple[int, float, float] | None = None
    erase: float = 0.0  # probability of random erasing
    mixup: float = 0.0  # alpha of MixUp's Beta distribution; 0: none
    cutmix: float = 0.0  # alpha of CutMix's Beta distribution; 0: none

    @property
    def changes_examples(self) -> bool:
        """Whether it changes single examples, and not only mixes them."""
        return dataclasses.replace(self, mixup=0.0, cutmix=0.0) != Augmentation()


@dataclasses.dataclass(frozen=True)
class Policy:
    """An augmentation by name, with what a caller changes of it; None leaves a value to the name and the data."""

    name: str = "light"  # one of NAMES
    hflip: float | None = None  # probability; None: 0.5, and 0 for written characters and with "none"
    vflip: float | None = None  # probability, of sounds of the opposite sign
    scale: tuple[float, float] | None = None  # of images, as of `Augmentation`
    ratio: tuple[float, float] | None = None
    randaugment: tuple[int, float, float] | None = None  # of images, in place of (2, 9.0); "rand" alone
    color_jitter: float | None = None
    erase: float | None = None
    margin: float | None = None  # replaces the random resized crop, 0 too
    mixup: float = 0.0
    cutmix: float = 0.0


def choose_augmentation(
    policy: str | Policy | Augmentation, *, side: int, characters: bool, axes: int = 2
) -> Augmentation:
    """The augmentation that a policy, or the name of one, stands for; an `Augmentation` is returned as it is.

    "none": nothing.
    "shift": mirrored as by "light", and shifted by up to an eighth of the sides, as is usual for CIFAR, by whole
    pixels: "light" interpolates, which blurs images of 28 pixels, and in training alone.
    "light": written characters and images up to 128 pixels are turned, zoomed and shifted a little; larger ones are
    cropped at random as photographs are. The crop keeps at least a quarter of the area and not the 0.08 of
    Inception's training (Szegedy et al. 2014, section 6), which is for many epochs on a million photographs; for a
    dozen epochs on thousands a twelfth of an image is little to learn from. This is a choice, not a measurement.
    Sounds are shifted, played up to a quarter faster or slower and turned upside down. Volumes are mirrored and
    shifted.
    "rand": "light"; for images also RandAugment(2, 9) and random erasing with probability 0.1; for volumes mirrored
    height, turned by any angle in all planes and zoomed by up to a seventh.

    Args:
        policy: one of `NAMES`, a `Policy` or an `Augmentation`.
        side: of the training images, in pixels.
        characters: whether the images show written characters, which mirroring would turn into others.
        axes: 1 for sounds, 2 for images, 3 for volumes.

    Raises:
        BadData: no such name, a number out of its bounds, or a change that these examples do not get.
    """
    if isinstance(policy, Augmentation):
        return policy
    if isinstance(policy, str):
        policy = Policy(policy)
    if policy.name not in NAMES:
        raise BadData(f"augmentation must be one of {', '.join(NAMES)}, got '{policy.name}' (--aa)")
    for field in ("hflip", "vflip", "color_jitter", "erase", "margin", "mixup", "cutmix"):
        if (value := getattr(policy, field)) is not None:
            check_number(field, value)
    _check_kind(policy, axes)
    augmentation = _by_name(policy, side, characters, axes)
    augmentation = _with_crop(augmentation, policy)
    if policy.hflip is not None:
        augmentation = dataclasses.replace(augmentation, hflip=policy.hflip)
    if policy.vflip is not None:
        augmentation = dataclasses.replace(augmentation, vflip=policy.vflip)
    if policy.randaugment is not None and augmentation.randaugment is not None:
        augmentation = dataclasses.replace(augmentation, randaugment=policy.randaugment)
    if policy.color_jitter is not None:
        augmentation = dataclasses.replace(augmentation, color_jitter=policy.color_jitter)
    if policy.erase is not None:
        augmentation = dataclasses.replace(augmentation, erase=policy.erase)
    if policy.margin is not None:
        augmentation = dataclasses.replace(augmentation, margin=policy.margin, scale=(1.0, 1.0))
    return dataclasses.replace(augmentation, mixup=policy.mixup, cutmix=policy.cutmix)


def _check_kind(policy: Policy, axes: int) -> None:
    """Raises BadData where a policy asks for a change that sounds or volumes do not get."""
    if axes == 2:
        return
    changes = {
        "--scale": policy.scale,
        "--ratio": policy.ratio,
        "--crop-margin": policy.margin,
        "--reprob": policy.erase,
        "--aa rand-...": policy.randaugment,
        "--hflip": policy.hflip if axes == 1 else None,
        "--color-jitter": policy.color_jitter if axes == 3 else None,
    }
    kind = {1: "sounds", 3: "volumes"}[axes]
    for flag, value in changes.items():
        if value:
            raise BadData(f"{kind} are augmented without {flag}: leave it out")


def _with_crop(augmentation: Augmentation, policy: Policy) -> Augmentation:
    """The augmentation with the random resized crop of a policy, if it has one."""
    if policy.scale is not None:
        augmentation = dataclasses.replace(augmentation, scale=policy.scale)
    if policy.ratio is not None:
        if augmentation.scale == (1.0, 1.0) or policy.margin is not None:
            raise BadData("--ratio is of random crops, which these images do not get: add --scale, or leave it out")
        augmentation = dataclasses.replace(augmentation, ratio=policy.ratio)
    return augmentation


def _by_name(policy: Policy, side: int, characters: bool, axes: int) -> Augmentation:
    if policy.name == "none":
        return Augmentation()
    hflip = 0.0 if characters or axes == 1 else 0.5
    if policy.name == "shift":
        return Augmentation(hflip=hflip, translate=SHIFT)
    if axes == 1:
        return Augmentation(vflip=0.5, translate=0.09, zoom=0.25)
    if axes == 3:
        return _of_volumes(policy.name, hflip)
    if side <= LARGE or characters:
        light = Augmentation(hflip=hflip, degrees=12.0, translate=0.09, zoom=0.15)
    else:
        light = Augmentation(hflip=hflip, scale=(0.25, 1.0))
    if policy.name == "light":
        return light
    return dataclasses.replace(light, randaugment=(2, 9.0), erase=0.1)


def _of_volumes(name: str, hflip: float) -> Augmentation:
    light = Augmentation(hflip=hflip, translate=0.09)
    if name == "light":
        return light
    return dataclasses.replace(light, vflip=0.5, quarter_turns=True, degrees=45.0, zoom=0.15, translate=0.06)
