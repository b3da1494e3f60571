"""The speed of exported files: `python -m benchmarks.inference [--networks N ...]`, which writes docs/inference.md.

The job is the same for all: from uint8 images of 224x224 pixels to scores of 1,000 classes. Files of this project
standardise the images inside; the plain files do not, so that NumPy does it for them. Contenders, each in its process:

    plain SavedModel    `model.export` of Keras, by TensorFlow
    SavedModel          `python -m tfcnn.export`, endpoint serve
    serve_ready         the same file, images that are standardised already; serve_files takes them as files of JPEG
    plain LiteRT        `model.export(format="litert")`, by ai-edge-litert; plain LiteRT int8 with TFLiteConverter's
                        default optimizations and representative images
    LiteRT, LiteRT int8   `--format litert --quantize none|int8`
    plain ONNX          `model.export(format="onnx")`, by ONNX Runtime
    ONNX, ONNX int8     `--format onnx --quantize none|int8`
    OpenVINO            the file of ONNX by OpenVINO, which computes in bfloat16 where the processor does
    OpenVINO float32    the same in float32; OpenVINO int8 is the file of ONNX int8
    PyTorch compiled    timm's or torchvision's network under torch.compile

Plain files are of keras.applications' network where it has it, else of ours. Rounds are interleaved. The ratio is the
plain SavedModel's median time to the contender's, the middle half that of single rounds; CPU is the ratio of the
processors' time. A row for each goes to benchmarks/inference.csv; networks that are there are not measured again. A
contender whose library is missing is left out: `pip install openvino` (2026.4), `make test-torch` for PyTorch.
"""

from __future__ import annotations

import argparse
import io
import itertools
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contenders import Child, interleave, is_installed, serve
from benchmarks.parity import import_torch
from benchmarks.ratio import compare
from benchmarks.training_runs import ROOT, append_row, has_row, read_rows
from tfcnn.cli.startup import import_tensorflow
from tfcnn.tables import as_markdown

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "inference.md"
SIZE = 224
CLASSES = 1000
MEAN = np.float32([0.485, 0.456, 0.406])
STD = np.float32([0.229, 0.224, 0.225])
CALIBRATION = 16  # images that int8 measures its ranges on
SECONDS = 0.25  # a contender's part of a round: shared machines are slow for some seconds at a time


class Network(NamedTuple):
    """A network, and its twins: of keras.applications, and of timm or torchvision ("library:name")."""

    arch: str
    keras: str | None
    torch: str


NETWORKS = {
    network.arch: network
    for network in (
        Network("mobilenet", "MobileNet", "timm:mobilenetv1_100"),
        Network("resnet18", None, "torchvision:resnet18"),
        Network("squeezenet1_1", None, "torchvision:squeezenet1_1"),
        Network("efficientnet_b0", "EfficientNetB0", "timm:efficientnet_b0"),
    )
}
# By name: the library that it needs.
CONTENDERS = {
    "plain SavedModel": "tensorflow",
    "SavedModel": "tensorflow",
    "serve_ready": "tensorflow",
    "serve_files": "tensorflow",
    "plain LiteRT": "ai_edge_litert",
    "plain LiteRT int8": "ai_edge_litert",
    "LiteRT": "ai_edge_litert",
    "LiteRT int8": "ai_edge_litert",
    "plain ONNX": "onnxruntime",
    "ONNX": "onnxruntime",
    "ONNX int8": "onnxruntime",
    "OpenVINO": "openvino",
    "OpenVINO float32": "openvino",
    "OpenVINO int8": "openvino",
    "PyTorch compiled": "torch",
}
FACTS = {
    "task": "classification",
    "image_shape": [SIZE, SIZE, 3],
    "value_range": [0, 255],
    "fit": "crop",
    "mean": MEAN.tolist(),
    "std": STD.tolist(),
    "dtype": "uint8",
    "white_level": 255,
    "class_names": [str(number) for number in range(CLASSES)],
}


def images_of(count: int) -> np.ndarray:
    """Smooth uint8 images (count, SIZE, SIZE, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, SIZE // 8, SIZE // 8, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def standardise(images: np.ndarray) -> np.ndarray:
    """Float32 images, as a client of a plain file makes them."""
    return (images.astype("float32") / 255 - MEAN) / STD


def write_files(network: Network, folder: Path) -> None:
    """Write every file of a network into a folder."""
    import keras
    import tensorflow as tf

    from tfcnn import factory
    from tfcnn.export import litert, onnx, savedmodel

    ours = factory.build(network.arch, (SIZE, SIZE, 3), CLASSES)
    plain = ours
    if network.keras:
        plain = getattr(keras.applications, network.keras)(weights=None, classifier_activation=None)
    for model in (ours, plain):
        settle(model)
    plain.export(folder / "plain-saved_model", verbose=False)
    plain.export(folder / "plain.tflite", format="litert", verbose=False)
    plain.export(folder / "plain.onnx", format="onnx", verbose=False)
    savedmodel.export_savedmodel(ours, folder / "saved_model", FACTS)
    samples = images_of(CALIBRATION)
    plain.export(
        folder / "plain-int8.tflite",
        format="litert",
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([standardise(image[None])] for image in samples),
    )
    for module, suffix in ((litert, "tflite"), (onnx, "onnx")):
        module.write(ours, FACTS, folder / f"ours.{suffix}", "none", None)
        module.write(ours, FACTS, folder / f"ours-int8.{suffix}", "int8", samples)


def settle(model: Any) -> None:
    """Give batch norms statistics and factors that a converter can not fold away as ones and zeros."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([value + rng.uniform(0, 0.1, value.shape) for value in layer.get_weights()])


def call_of_savedmodel(contender: str, folder: Path, images: np.ndarray, threads: int) -> Callable[[], Any]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if contender == "plain SavedModel":
        plain = tf.saved_model.load(str(folder / "plain-saved_model"))
        return lambda: plain.serve(tf.constant(standardise(images))).numpy()
    model = tf.saved_model.load(str(folder / "saved_model"))
    if contender == "serve_ready":
        ready = tf.constant(standardise(images))
        return lambda: model.serve_ready(ready)["probabilities"].numpy()
    if contender == "serve_files":
        files = tf.constant([jpeg_of(image) for image in images])
        return lambda: model.serve_files(files)["probabilities"].numpy()
    return lambda: model.serve(tf.constant(images))["probabilities"].numpy()


def jpeg_of(image: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG")
    return file.getvalue()


def call_of_litert(contender: str, folder: Path, images: np.ndarray, threads: int) -> Callable[[], Any]:
    from ai_edge_litert.interpreter import Interpreter

    names = {"plain LiteRT": "plain", "plain LiteRT int8": "plain-int8", "LiteRT": "ours", "LiteRT int8": "ours-int8"}
    name = names[contender]
    interpreter = Interpreter(model_path=str(folder / f"{name}.tflite"), num_threads=threads)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, images.shape)
    interpreter.allocate_tensors()
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def call() -> Any:
        interpreter.set_tensor(place, standardise(images) if name.startswith("plain") else images)
        interpreter.invoke()
        return [interpreter.get_tensor(output) for output in outputs]

    return call


def call_of_onnx(contender: str, folder: Path, images: np.ndarray, threads: int) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    name = {"plain ONNX": "plain", "ONNX": "ours", "ONNX int8": "ours-int8"}[contender]
    session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
    first, *others = session.get_inputs()
    # The plain file of EfficientNetB0 has the mean and the variance of its Normalization as inputs, too.
    rest = {value.name: np.ones(value.shape, np.float32) for value in others}
    return lambda: session.run(None, {first.name: standardise(images) if name == "plain" else images, **rest})


def call_of_openvino(contender: str, folder: Path, images: np.ndarray, threads: int) -> Callable[[], Any]:
    import openvino

    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if contender == "OpenVINO float32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    name = "ours-int8.onnx" if contender == "OpenVINO int8" else "ours.onnx"
    model = openvino.Core().compile_model(str(folder / name), "CPU", settings)
    return lambda: model(images)


def call_of_torch(network: Network, images: np.ndarray, threads: int) -> Callable[[], Any]:
    torch = import_torch()
    from benchmarks import torch_networks  # imports PyTorch

    torch.set_num_threads(threads)
    model = torch_networks.of_library(network.torch, CLASSES)
    model = torch.compile(model.eval().to(memory_format=torch.channels_last))

    def call() -> Any:
        with torch.inference_mode():
            ready = torch.from_numpy(standardise(images)).permute(0, 3, 1, 2)  # NHWC in memory is channels last
            return model(ready).numpy()

    return call


def run_contender(network: Network, contender: str, folder: Path, batch: int, threads: int) -> None:
    """Prepare a contender, and run as many batches as each line on standard input says."""
    images = images_of(batch)
    match CONTENDERS[contender]:
        case "tensorflow":
            import_tensorflow()
            call = call_of_savedmodel(contender, folder, images, threads)
        case "ai_edge_litert":
            call = call_of_litert(contender, folder, images, threads)
        case "onnxruntime":
            call = call_of_onnx(contender, folder, images, threads)
        case "openvino":
            call = call_of_openvino(contender, folder, images, threads)
        case _:
            call = call_of_torch(network, images, threads)

    def repeat(count: int) -> None:
        for _ in range(count):
            call()

    repeat(3)
    serve(repeat)


def measure(network: Network, folder: Path, batch: int, threads: int, rounds: int) -> list[dict[str, Any]]:
    """The rows of a network, a batch size and a number of threads."""
    place = [network.arch, str(folder), str(batch), str(threads)]
    environment = {"OMP_NUM_THREADS": str(threads)}
    children = {
        contender: Child("benchmarks.inference", ["--serve", contender, *place], environment)
        for contender, library in CONTENDERS.items()
        if is_installed(library)
    }
    interleave(children.values(), rounds, SECONDS)
    base = next(iter(children.values()))
    rows = []
    for contender, child in children.items():
        ratio, low, high = compare(base.wall, child.wall)
        rows.append(
            {
                "network": network.arch,
                "batch": batch,
                "threads": threads,
                "contender": contender,
                "ratio": f"{ratio:.2f}",
                "middle half": f"{low:.2f} to {high:.2f}",
                "CPU": f"{compare(base.cpu, child.cpu).ratio:.2f}",
                "ms": f"{1000 * statistics.median(child.wall):.1f}",
                "CPU ms": f"{1000 * statistics.median(child.cpu):.1f}",
            }
        )
        child.close()
    return rows


def write_page(rows: list[dict[str, str]]) -> None:
    """Write docs/inference.md."""
    sections = []
    for key in dict.fromkeys((row["network"], row["batch"], row["threads"]) for row in rows):
        network, batch, threads = key
        lines = [list(row.values())[3:] for row in rows if (row["network"], row["batch"], row["threads"]) == key]
        title = f"{network}, batches of {batch}, {threads} thread{'s' if threads != '1' else ''}"
        sections.append(f"## {title}\n\n{as_markdown(list(rows[0])[3:], lines, words=[0, 2])}")
    PAGE.write_text(
        "# The speed of exported files\n\n"
        "Written by `python -m benchmarks.inference` from benchmarks/inference.csv: from uint8 images of 224x224 "
        "pixels to the\nscores of 1,000 classes. The ratio is the plain SavedModel's median time to the contender's: "
        "more is faster. The middle\nhalf is that of single rounds, which are interleaved; CPU is the ratio of the "
        "processors' time, which other work disturbs\nless. Plain files are what `model.export` of Keras writes, of "
        "keras.applications' network where it has it, and NumPy\nstandardises their images; the others do it inside. "
        "serve_ready takes standardised images, serve_files files of JPEG.\nMilliseconds are of a batch, on a shared "
        "machine.\n\n" + "\n\n".join(sections) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=[], choices=list(NETWORKS), help="networks to measure")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=20, help="of each network [%(default)s]")
    parser.add_argument("--serve", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        contender, arch, folder, batch, threads = arguments.serve
        run_contender(NETWORKS[arch], contender, Path(folder), int(batch), int(threads))
        return
    for arch in arguments.networks:
        with tempfile.TemporaryDirectory() as folder:
            import_tensorflow()
            write_files(NETWORKS[arch], Path(folder))
            for batch, threads in itertools.product(arguments.batches, arguments.threads):
                if not has_row(TABLE, {"network": arch, "batch": str(batch), "threads": str(threads)}):
                    for row in measure(NETWORKS[arch], Path(folder), batch, threads, arguments.rounds):
                        append_row(TABLE, row)
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
