"""Batches of regions: proposals of each image, and what a detector learns of them.

A batch holds some images and as many regions of each, a quarter of them objects (Girshick 2015, section 2.3; Girshick
et al. 2013, section 2.3). Order is a function of (seed, epoch, position), the choice of regions and mirroring of (seed,
epoch, example). Mirroring is the only augmentation: proposals are of the image as it is.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.dataset import AHEAD, Data, without_autograph
from tfcnn.detection.examples import pad
from tfcnn.detection.targets import OBJECT, region_targets
from tfcnn.training.proposals import Proposals

OBJECTS = 0.25  # share of the regions of a batch, at most
VALIDATION = -1  # the epoch whose draws choose the regions of validation and test


class Matched(NamedTuple):
    """The regions of a split, each image's padded to the same number with -1."""

    regions: tf.Tensor  # float32 (images, r, 4)
    targets: tf.Tensor  # float32 (images, r, 5), of `region_targets`
    ious: tf.Tensor  # float32 (images, r), of the true box; -1 for padding


@dataclasses.dataclass(frozen=True)
class RegionData(Data):
    """Data whose batches are of images and some of their regions.

    A batch is ((images, regions), targets): float32 (batch, height, width, channels), (batch, r, 4) in pixels, and
    (batch, r, 5), of `region_targets`; regions that are missing have the class -1.

    Args:
        regions: r, of each image in a batch.
        proposals: of the images.
        mirrored: share of the training images that are mirrored.
    """

    regions: int = 64
    proposals: Proposals = dataclasses.field(default_factory=Proposals)
    mirrored: float = 0.5

    def facts(self) -> dict[str, Any]:
        facts = super().facts()
        facts["augmentation"] |= {"hflip": facts.pop("mirrored")}
        return {name: value for name, value in facts.items() if name not in ("proposals", "regions")}

    @without_autograph
    def train(self, epochs: int = 1, first_epoch: int = 0, first_step: int = 0) -> tf.data.Dataset:
        """The batches of `epochs` epochs from `first_epoch` on without the first `first_step` of them."""
        matched = self.matched("train", with_truth=True)

        def rows(epoch: tf.Tensor) -> tf.data.Dataset:
            numbers = tf.data.Dataset.from_tensor_slices(self.order(epoch))
            return numbers.map(lambda row: (epoch, row))

        def batch(epoch: tf.Tensor, numbers: tf.Tensor) -> tuple:
            draws = self._draw(epoch, numbers, matched)
            images = self.inputs("train", numbers)
            inputs, targets = self._choose(images, matched, numbers, draws[:, 1:])
            return mirror(inputs, targets, draws[:, 0] < self.mirrored)

        numbers = tf.data.Dataset.range(first_epoch, first_epoch + epochs)
        return numbers.flat_map(rows).skip(first_step).map(batch, tf.data.AUTOTUNE).prefetch(AHEAD)

    @without_autograph
    def evaluation(self, split: str = "test") -> tf.data.Dataset:
        """The images of a split in their order, the same regions of each whenever it is called, not mirrored."""
        matched = self.matched(split)

        def batch(numbers: tf.Tensor) -> tuple:
            draws = self._draw(tf.constant(VALIDATION, tf.int64), numbers, matched)
            return self._choose(self.inputs(split, numbers), matched, numbers, draws[:, 1:])

        numbers = tf.data.Dataset.range(self.sizes[split]).batch(self.batch_size)
        return numbers.map(batch, tf.data.AUTOTUNE).prefetch(AHEAD)

    def images(self, split: str) -> tf.data.Dataset:
        """Every image of a split with its boxes and classes, as `Data.evaluation`."""
        return Data.evaluation(self, split)

    def proposals_of(self, split: str) -> list[np.ndarray]:
        """The regions float32 (r, 4) of each image of a split."""
        return self.proposals.of(self, split)

    def matched(self, split: str, with_truth: bool = False) -> Matched:
        """The proposals of a split and what they stand for; `with_truth`: the true boxes are among them."""
        return self.proposals.once(("matched", split, with_truth), lambda: self._match(split, with_truth))

    def _match(self, split: str, with_truth: bool) -> Matched:
        rows = []
        for regions, truth in zip(self.proposals_of(split), self.proposals.truths(self, split), strict=True):
            regions = np.concatenate([truth["boxes"], regions]) if with_truth else regions
            rows.append((regions, *region_targets(regions, truth["boxes"], truth["labels"], self.num_classes)))
        return Matched(*(tf.constant(pad(column)) for column in zip(*rows, strict=True)))

    def _draw(self, epoch: tf.Tensor, numbers: tf.Tensor, matched: Matched) -> tf.Tensor:
        """Uniform numbers, a function of (seed, epoch, example): float32 (batch, 1 + r)."""
        key = tf.stack([tf.constant(self.seed, tf.int64), epoch])

        def draw(number: tf.Tensor) -> tf.Tensor:
            return tf.random.stateless_uniform(
                [1 + matched.ious.shape[1]], tf.random.experimental.stateless_fold_in(key, number)
            )

        return tf.map_fn(draw, numbers, fn_output_signature=tf.float32)

    def _choose(self, images: tf.Tensor, matched: Matched, numbers: tf.Tensor, draws: tf.Tensor) -> tuple:
        """The batch of images by number with the regions that their draws choose."""
        chosen, valid = choose_regions(tf.gather(matched.ious, numbers), draws, self.regions)
        regions = tf.gather(tf.gather(matched.regions, numbers), chosen, batch_dims=1)
        targets = tf.gather(tf.gather(matched.targets, numbers), chosen, batch_dims=1)
        ignored = tf.concat([tf.where(valid, targets[..., 0], -1)[..., None], targets[..., 1:]], -1)
        return (images, regions), ignored


def choose_regions(ious: tf.Tensor, draws: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Some regions of each image: objects, up to a quarter of `count`, and background for the rest, at random.

    Args:
        ious: float32 (batch, r), of the true box; -1 for padding.
        draws: float32 (batch, r), uniform.
        count: of regions.

    Returns:
        indices int32 (batch, count), and whether each is one of the chosen: bool (batch, count).
    """
    is_object = ious >= OBJECT
    is_background = (ious >= 0) & ~is_object
    objects = is_object & (_rank(is_object, draws) < round(OBJECTS * count))
    left = count - tf.reduce_sum(tf.cast(objects, tf.int32), axis=1, keepdims=True)
    chosen = objects | (is_background & (_rank(is_background, draws) < left))
    missing = tf.maximum(count - ious.shape[1], 0)
    chosen = tf.pad(chosen, [[0, 0], [0, missing]])
    indices = tf.argsort(tf.cast(chosen, tf.int32), direction="DESCENDING", stable=True)[:, :count]
    valid = tf.gather(chosen, indices, batch_dims=1)
    return tf.where(valid, indices, 0), valid


def _rank(members: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """The place of each member among the members by its draw, from 0: int32, the shape of `members`."""
    return tf.argsort(tf.argsort(tf.where(members, draws, 2.0)))


def mirror(inputs: tuple[tf.Tensor, tf.Tensor], targets: tf.Tensor, mirrored: tf.Tensor) -> tuple:
    """Mirror some images of a batch left to right, with their regions and targets.

    Args:
        inputs: images (batch, height, width, channels), regions (batch, r, 4).
        targets: (batch, r, 5).
        mirrored: bool (batch,).
    """
    images, regions = inputs
    where = mirrored[:, None, None]
    x1, y1, x2, y2 = tf.unstack(regions, axis=-1)
    width = float(images.shape[2])
    opposite = tf.stack([width - x2, y1, width - x1, y2], axis=-1)
    images = tf.where(where[..., None], images[:, :, ::-1], images)
    return (images, tf.where(where, opposite, regions)), tf.where(where, targets * [1.0, -1, 1, 1, 1], targets)
