"""What augmentation does, as plain values, and the policies that have a name. TensorFlow is not imported here."""

from __future__ import annotations

import dataclasses

LARGE = 128  # side from which images are cropped like photographs; smaller ones are turned and shifted
NAMES = ("none", "light", "rand")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What happens to training examples; `Augmentation()` is nothing.

    `scale`, `ratio` and `margin` are for `preparation`, which chooses what is read; `mixup` and `cutmix` for
    `mixing.mix`, on the finished batch; all others for `augment.augment`.
    """

    scale: tuple[float, float] = (1.0, 1.0)  # share of the area that a random resized crop keeps; (1, 1): no crop
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # width by height of that crop
    margin: float = 0.0  # in place of that: a window of an image whose shorter side is larger than it by this share
    hflip: float = 0.0  # probability
    vflip: float = 0.0  # probability
    degrees: float = 0.0  # rotation, uniformly in +-degrees
    translate: float = 0.0  # shift, uniformly in +-translate of the side
    zoom: float = 0.0  # magnification, exp of a number uniformly in +-zoom
    color_jitter: float = 0.0  # brightness, contrast and saturation, each times a factor uniformly in 1 +- this
    randaugment: tuple[int, float] | None = None  # (operations an image, magnitude 0 ... 10)
    erase: float = 0.0  # probability of random erasing
    mixup: float = 0.0  # alpha of MixUp's Beta distribution; 0: none
    cutmix: float = 0.0  # alpha of CutMix's Beta distribution; 0: none

    @property
    def changes_examples(self) -> bool:
        """Whether it changes single examples, and not only mixes them."""
        return dataclasses.replace(self, mixup=0.0, cutmix=0.0) != Augmentation()


def policy(name: str, *, side: int, characters: bool, hflip: float | None = None) -> Augmentation:
    """The augmentation called "none", "light" or "rand" for images of `side` pixels.

    "light": written characters and images up to 128 pixels are turned, zoomed and shifted a little; larger ones are
    cropped at random as photographs are. The crop keeps at least a quarter of the area and not the 0.08 of
    Inception's training (Szegedy et al. 2014, section 6), which is for many epochs on a million photographs; for a
    dozen epochs on thousands a twelfth of an image is little to learn from. This is a choice, not a measurement.
    "rand": "light" and RandAugment(2, 9) and random erasing with probability 0.1.

    Args:
        name: one of `NAMES`.
        side: of the training images, in pixels.
        characters: whether the images are written characters, of which a mirrored one is another character.
        hflip: probability of mirroring left to right. Default: 0.5, and 0 for characters.
    """
    if name == "none":
        return Augmentation()
    if hflip is None:
        hflip = 0.0 if characters else 0.5
    if side <= LARGE or characters:
        light = Augmentation(hflip=hflip, degrees=12.0, translate=0.09, zoom=0.15)
    else:
        light = Augmentation(hflip=hflip, scale=(0.25, 1.0))
    if name == "light":
        return light
    return dataclasses.replace(light, randaugment=(2, 9.0), erase=0.1)
