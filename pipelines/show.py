"""`python -m pipelines.show --dataset NAME --out batch.png`: a batch as a network gets it, and a class histogram."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from pipelines import BadData, check_name, load
from pipelines.augmentation.policy import NAMES, Policy
from pipelines.bounds import RESPONSES, check_memory, parse_number, parse_size
from pipelines.labelled_boxes import Labelled, draw_boxes
from pipelines.readers.splits import SPLITS
from pipelines.spectrum import spectrogram
from pipelines.startup import import_tensorflow
from pipelines.targets import IGNORE_LABEL
from pipelines.text import plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from pipelines.dataset import Data

COLUMNS = 8
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a quota, the largest size of a file
TASKS = ("classification", "segmentation", "detection")
PALETTE = "tab20"  # of classes, in masks and boxes
BACKGROUND = "background"  # the class whose pixels stay as they are
LETTERS = 1 / 13  # height of the names of boxes, as a share of the image
LONGEST = 22  # characters of a name above an image
LONGEST_TITLE = 60


def draw_batch(data: Data, path: str | Path, split: str = "train", epoch: int = 0) -> None:
    """Draw the first batch with its targets as a PNG.

    Args:
        data: a loaded data set.
        path: file to write.
        split: "train", augmented; "validation" or "test", not augmented.
        epoch: of "train", the epoch whose first batch is drawn.
    """
    from matplotlib.figure import Figure

    batches = data.train(first_epoch=epoch) if split == "train" else data.evaluation(split)
    inputs, targets = next(iter(batches))
    inputs = inputs.numpy() * np.asarray(data.std) + np.asarray(data.mean)
    columns = min(COLUMNS, len(inputs))
    rows = -(-len(inputs) // columns)
    figure = Figure(figsize=(1.7 * columns, 1.9 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for i, axis in zip(range(len(inputs)), axes, strict=False):
        if data.task == "detection":
            _draw_boxes(axis, inputs[i], targets["boxes"][i].numpy(), targets["labels"][i].numpy(), data.class_names)
            continue
        _draw_input(axis, inputs[i])
        if data.task == "classification":
            axis.set_title(_title(targets[i].numpy(), data.class_names), fontsize=8)
        elif data.task == "segmentation":
            _draw_mask(axis, targets[i].numpy(), data.class_names)
    if data.task == "segmentation":
        patches = _patches(data.class_names)
        labels = [str(patch.get_label()) for patch in patches]
        figure.legend(patches, labels, loc="outside lower center", ncols=6, fontsize=8)
    augmented = f"epoch {epoch}, augmented" if split == "train" else "not augmented"
    name = Path(data.name).name if Path(data.name).exists() else data.name  # "emnist/letters" is no path
    figure.suptitle(f"{plain(name, LONGEST_TITLE)}, {split}: {augmented}", fontsize=10)
    _write_picture(figure, Path(path))


def _write_picture(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    draft = path.with_name(f".draft-{os.getpid()}-{path.name}")
    try:
        save(figure, draft, dpi=100, format="png")
        os.replace(draft, path)
    except OSError as error:  # of a full disk, which names no file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        draft.unlink(missing_ok=True)


def check_picture(path: str | Path) -> None:
    """Raises BadData if a PNG cannot be written to a path, or would replace something other than a PNG."""
    path = Path(path)
    problem = None
    try:
        if path.suffix.lower() != ".png":
            problem = "is no name of a .png file"
        elif path.is_symlink():
            problem = "is a link"
        elif os.path.lexists(path):
            if not path.is_file() or not _is_png(path):
                problem = "is something other than a PNG picture, which is not replaced"
            elif (path.parent / "config.json").exists() and path.name == "curves.png":
                problem = "is a file of a run, which is not replaced"
        elif not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            problem = f"cannot be created: '{path.parent}' is not a writable folder"
    except (OSError, ValueError) as error:
        problem = f"cannot be used: {getattr(error, 'strerror', None) or error}"
    if problem:
        raise BadData(f"'{path}' {problem}; give another --out")


def _is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89PNG\r\n\x1a\n"


def _draw_input(axis: Axes, pixels: np.ndarray) -> None:
    if pixels.ndim == 2:  # a sound: its spectrum over time, low tones below
        axis.imshow(spectrogram(pixels.mean(-1)), cmap="inferno", vmin=0, vmax=1, aspect="auto")
    elif pixels.ndim == 4:  # a volume from the front, nearer voxels lighter
        solid = pixels[..., 0] > 0.5
        depth = np.where(solid.any(0), 1 - solid.argmax(0) / len(solid), 0)
        axis.imshow(depth, cmap="gray", vmin=0, vmax=1, origin="lower")
    else:
        axis.imshow(pixels.clip(0, 1), cmap="gray", vmin=0, vmax=1)


def _title(target: np.ndarray, names: Sequence[str]) -> str:
    """The class, or the shares of a mixture of two."""
    best = [i for i in target.argsort()[::-1] if target[i] > 0.005][:2]
    if len(best) == 1:
        return plain(names[best[0]], LONGEST)
    return " + ".join(f"{target[i]:.2f} {plain(names[i], LONGEST // 3)}" for i in best)


def _colour(number: int) -> tuple[float, float, float, float]:
    from matplotlib import colormaps

    number %= 20
    return colormaps[PALETTE](2 * number if number < 10 else 2 * (number - 10) + 1)  # the light ones after the dark


def _patches(names: Sequence[str]) -> list[Patch]:
    from matplotlib.patches import Patch

    ignored = Patch(color="black", alpha=0.6, label="ignored")
    tinted = [i for i, name in enumerate(names) if name != BACKGROUND]
    return [*(Patch(color=_colour(i), label=plain(names[i], LONGEST)) for i in tinted), ignored]


def _draw_mask(axis: Axes, mask: np.ndarray, names: Sequence[str]) -> None:
    """Tint the pixels of each class but the background."""
    if mask.ndim == 3:  # of a volume, from the front; what is ignored hides nothing
        front = np.where(mask == IGNORE_LABEL, -1, mask).max(0)
        mask = np.where(front < 0, IGNORE_LABEL, front)
    colours = np.array([*(_colour(i) for i in range(len(names))), (0, 0, 0, 1)])
    colours[:, 3] = [*(0 if name == BACKGROUND else 0.5 for name in names), 0.5]
    axis.imshow(colours[np.minimum(mask, len(names))], origin=axis.images[-1].origin)


def _draw_boxes(axis: Axes, pixels: np.ndarray, boxes: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> None:
    """Draw the image with its boxes; those of label -1 are padding."""
    rows = [Labelled(box, names[label], label) for box, label in zip(boxes, labels, strict=True) if label >= 0]
    axis.imshow(draw_boxes((255 * pixels.clip(0, 1)).astype(np.uint8), rows, LETTERS))


def histogram(data: Data) -> str:
    """The examples, boxes or pixels of each class in each split, with a bar for the training split."""
    counts = {split: data.counts(split) for split in data.sizes}
    unit = {"classification": "examples", "detection": "boxes", "segmentation": "pixels"}[data.task]
    width = max(map(len, (*data.class_names, unit)))
    lines = [f"{unit:{width}}" + "".join(f"{split:>14}" for split in counts)]
    for i, name in enumerate(data.class_names):
        bar = "#" * round(30 * counts["train"][i] / counts["train"].max())
        lines.append(f"{name:{width}}" + "".join(f"{values[i]:14,}" for values in counts.values()) + f"  {bar}")
    lines.append(" " * width + "".join(f"{values.sum():14,}" for values in counts.values()))
    return "\n".join(lines)


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are BadData."""

    def error(self, message: str) -> NoReturn:
        raise BadData(f"{message} (see --help)")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command; numbers stay text until `parse_number` checks them."""
    parser = _Parser(prog="python -m pipelines.show", description=__doc__.split("`: ")[1], allow_abbrev=False)
    parser.add_argument("--dataset", default="digits", help="as for tfcnn.train [digits]")
    parser.add_argument(
        "--task", choices=TASKS, help="classification, segmentation or detection [the first that the data serve]"
    )
    parser.add_argument("--out", metavar="FILE.png", help="where to draw the batch")
    parser.add_argument("--stats", action="store_true", help="print how often each class occurs")
    parser.add_argument("--split", default="train", choices=SPLITS, help="split to draw [train]")
    parser.add_argument("--epoch", default="0", metavar="N", help="epoch whose first examples are drawn [0]")
    parser.add_argument("--count", default="32", metavar="N", help="examples to draw [32]")
    parser.add_argument("--image-size", metavar="N", help="side of the images, or HEIGHTxWIDTH [as for tfcnn.train]")
    parser.add_argument("--aa", default="light", choices=NAMES, help="augmentation [light]")
    parser.add_argument("--mixup", default="0", metavar="ALPHA", help="alpha of MixUp [0]")
    parser.add_argument("--cutmix", default="0", metavar="ALPHA", help="alpha of CutMix [0]")
    parser.add_argument("--seed", default="0", metavar="N", help="of order and augmentation [0]")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of prepared data sets")
    parser.add_argument("--channels", default="auto", choices=("auto", "first", "last"), help="of arrays [auto]")
    parser.add_argument("--on-bad-image", default="error", choices=RESPONSES, help="[error]")
    return parser


def show(arguments: list[str] | None = None) -> None:
    """Draw and count as a command line says. Raises BadData, OSError."""
    flags = make_parser().parse_args(arguments)
    if flags.out is None and not flags.stats:
        raise BadData("give --out FILE.png, --stats, or both")
    if flags.image_size is not None:
        flags.image_size = parse_size(flags.image_size)
    for name in ("epoch", "count", "mixup", "cutmix", "seed"):
        if (text := getattr(flags, name)) is not None:
            setattr(flags, name, parse_number(name, text))
    if flags.out is not None:
        check_picture(flags.out)
    check_name(flags.dataset)
    import_tensorflow()
    data = load(
        flags.dataset,
        task=flags.task,
        image_size=flags.image_size,
        batch_size=1,
        seed=flags.seed,
        augmentation=Policy(flags.aa, mixup=flags.mixup, cutmix=flags.cutmix),
        data_dir=flags.data_dir,
        on_bad_image=flags.on_bad_image,
        channels=flags.channels,
    )
    count = min(flags.count, data.sizes["train"])
    check_memory(data.image_shape, count)
    if flags.stats:
        print(histogram(data))
    if flags.out is not None:
        data = dataclasses.replace(data, batch_size=count)
        draw_batch(data, flags.out, flags.split, flags.epoch)
        print(f"drawn  {flags.out}")


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    try:
        show(arguments)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except (BadData, OSError) as error:
        message = error.message if isinstance(error, BadData) else str(error)
        if isinstance(error, OSError) and error.filename is not None:
            message = f"'{error.filename}': {error.strerror}"
        if isinstance(error, OSError) and error.errno in FULL:
            message += "; make room, then run the same command again"
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
