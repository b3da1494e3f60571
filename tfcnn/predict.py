"""`python -m tfcnn.predict RUN IMAGE...`: class names and probabilities of images, by the run's SavedModel."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import BadInput
from tfcnn.run_directory import RunDirectory

if TYPE_CHECKING:
    import numpy as np

# NumPy, Pillow and TensorFlow are imported in functions: bad input is refused without the wait for them.
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's name of an image by its channels


def predict(run: RunDirectory, paths: Sequence[str | Path], top: int = 3) -> list[list[tuple[str, float]]]:
    """Classify image files.

    Args:
        run: the run directory.
        paths: image files of any size and format that Pillow reads; they are turned upright by their EXIF orientation
            and converted to the channels of the network.
        top: number of classes to return for an image, the most probable first.

    Returns:
        list: for each image a list of (class name, probability).

    Raises:
        BadInput: a run of another task, or a file that is missing or no image.
    """
    facts = run.check_task("classification").read_config()["data"]
    images = [read_image(path, facts["image_shape"][-1]) for path in paths]
    import_tensorflow()
    model = run.load_saved_model()
    results = []
    for image in images:
        probabilities = model.serve(image[None])["probabilities"].numpy()[0]
        best = probabilities.argsort()[::-1][:top]
        results.append([(facts["class_names"][i], float(probabilities[i])) for i in best])
    return results


def read_image(path: str | Path, channels: int) -> np.ndarray:
    """An image file as uint8 (height, width, channels). Raises BadInput if it cannot be read."""
    import numpy as np
    from PIL import Image, ImageOps

    if channels not in MODES:
        raise BadInput(f"the network takes images of {channels} channels; image files have 1, 3 or 4")
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
    arguments = parser.parse_args()
    top = parse_count("--top", arguments.top)
    run = RunDirectory.open(arguments.run).check_finished()
    paths = arguments.images
    width = max(map(len, paths))
    for path, classes in zip(paths, predict(run, paths, top), strict=True):
        print(f"{path:{width}}  " + "  ".join(f"{name} {probability:.1%}" for name, probability in classes))


if __name__ == "__main__":
    sys.exit(run_main(main))
