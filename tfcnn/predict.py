"""`python -m tfcnn.predict RUN IMAGE...`: class names and probabilities of images, by the run's SavedModel."""

from __future__ import annotations

import sys
from pathlib import Path

from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import BadInput
from tfcnn.run_directory import RunDirectory

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's name of an image with so many channels


def predict(run: RunDirectory, paths: list[str | Path], top: int = 3) -> list[list[tuple[str, float]]]:
    """Classify image files.

    Args:
        run: the run directory.
        paths: image files of any size and any format that Pillow reads; turned upright as their EXIF says, and
            converted to the channels that the network takes.
        top: how many classes to return for an image, the most probable first.

    Returns:
        list: for each image a list of (class name, probability).

    Raises:
        BadInput: no SavedModel in the run directory, a run of another task, or a file that is missing or no image.
    """
    facts = run.check_task("classification").read_config()["data"]
    images = [read_image(path, facts["image_shape"][-1]) for path in paths]
    import_tensorflow()
    import tensorflow as tf

    model = tf.saved_model.load(run.saved_model)
    results = []
    for image in images:
        probabilities = model.serve(image[None])["probabilities"].numpy()[0]
        best = probabilities.argsort()[::-1][:top]
        results.append([(facts["class_names"][i], float(probabilities[i])) for i in best])
    return results


def read_image(path: str | Path, channels: int):
    """An image file as uint8 (height, width, channels). Raises BadInput if it cannot be read."""
    import numpy as np
    from PIL import Image, ImageOps

    if channels not in MODES:
        raise BadInput(f"the network takes images of {channels} channels, which no image file has")
    try:
        with Image.open(path) as image:
            pixels = np.asarray(ImageOps.exif_transpose(image).convert(MODES[channels]))
    except FileNotFoundError:
        raise BadInput(f"no such image: '{path}'") from None
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"'{path}' cannot be read as an image: {error}") from error
    return pixels.reshape(*pixels.shape[:2], channels)


def main() -> None:
    parser = Parser(prog="python -m tfcnn.predict", description="Classify images with a trained run.")
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image file")
    parser.add_argument("--top", default="3", metavar="N", help="classes to show for an image [3]")
    given = parser.parse_args()
    top = parse_count("--top", given.top)
    run = RunDirectory.opened(given.run).check_trained()
    width = max(map(len, given.images))
    for path, classes in zip(given.images, predict(run, given.images, top), strict=True):
        print(f"{path:{width}}  " + "  ".join(f"{name} {probability:.1%}" for name, probability in classes))


if __name__ == "__main__":
    sys.exit(run_main(main))
