"""A run behind every route: what it answers equals `tfcnn.load(RUN).predict`, and what training refuses is refused."""

import base64
import io
import re
import zlib

import keras
import numpy as np
import pytest
from PIL import Image

from tests.tfcnn.serving.stand_in import LIMITS, client_of
from tfcnn.results.masks import predict_mask
from tfcnn.results.resampling import places_of
from tfcnn.serving.limits import Refusal
from tfcnn.serving.network import Preparation, serve_run
from tfcnn.trained import Trained

RNG = np.random.default_rng(0)
FACTS = {
    "task": "classification",
    "image_shape": (8, 8, 3),
    "value_range": (0, 255),
    "fit": "crop",
    "mean": [0.4, 0.5, 0.6],
    "std": [0.25, 0.2, 0.3],
    "class_names": ["cat", "dog"],
}
SIZES = ((8, 8), (30, 20), (9, 41))
PICTURES = [RNG.integers(0, 256, (*size, 3)).astype(np.uint8) for size in SIZES]


def encode(pixels, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


FILES = [encode(pixels) for pixels in PICTURES]


def trained_network(task="classification", **facts):
    """A network of random weights."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    if task == "classification":
        outputs = keras.layers.Dense(2)(keras.layers.Flatten()(image))
    else:
        outputs = keras.layers.Conv2D(3 if task == "reconstruction" else 2, 3, padding="same")(image)
    return Trained(keras.Model(image, outputs), FACTS | {"task": task} | facts)


@pytest.fixture(scope="module")
def trained():
    return trained_network()


@pytest.fixture(scope="module")
def client(trained):
    with client_of(serve_run("run", trained, LIMITS, 4)) as client:
        yield client


@pytest.fixture(scope="module")
def expected(trained, tmp_path_factory):
    """The probabilities of the pictures, by the reader of files."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.png" for number in range(len(FILES))]
    for path, content in zip(paths, FILES, strict=True):
        path.write_bytes(content)
    return trained.predict(paths)


def by_raw_rest(client):
    for content in FILES:
        response = client.post("/v1/models/run:predict", content=content, headers={"Content-Type": "image/png"})
        yield response.json()["predictions"][0]["probabilities"]


def by_raw_kserve(client):
    for content in FILES:
        response = client.post("/v2/models/run/infer", content=content, headers={"Content-Type": "image/png"})
        yield response.json()["outputs"][0]["data"]


def by_rows_of_files(client):
    rows = [{"b64": base64.b64encode(content).decode()} for content in FILES]
    response = client.post("/v1/models/run:predict", json={"instances": rows})
    return [row["probabilities"] for row in response.json()["predictions"]]


def by_rows_of_numbers(client):
    rows = [{"images": pixels.tolist()} for pixels in PICTURES]
    response = client.post("/v1/models/run:predict", json={"instances": rows})
    return [row["probabilities"] for row in response.json()["predictions"]]


def by_columns_of_numbers(client):
    body = {"inputs": {"images": [pixels.tolist() for pixels in PICTURES]}}
    return client.post("/v1/models/run/versions/1:predict", json=body).json()["outputs"]["probabilities"]


def by_tensors_of_files(client):
    data = [base64.b64encode(content).decode() for content in FILES]
    body = {"inputs": [{"name": "files", "datatype": "BYTES", "shape": [3], "data": data}]}
    answer = client.post("/v2/models/run/infer", json=body).json()["outputs"][0]
    return np.reshape(answer["data"], answer["shape"])


def by_tensors_of_numbers(client):
    for pixels in PICTURES:
        data = pixels.ravel().tolist()
        body = {"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, *pixels.shape], "data": data}]}
        yield client.post("/v2/models/run/infer", json=body).json()["outputs"][0]["data"]


@pytest.mark.parametrize(
    "route",
    [
        by_raw_rest,
        by_raw_kserve,
        by_rows_of_files,
        by_rows_of_numbers,
        by_columns_of_numbers,
        by_tensors_of_files,
        by_tensors_of_numbers,
    ],
)
def test_every_route_answers_as_the_run_does(route, client, expected):
    np.testing.assert_allclose(list(route(client)), expected, atol=1e-5)


def test_the_class_is_the_most_probable(client, expected):
    for content, probabilities in zip(FILES, expected, strict=True):
        response = client.post("/v1/models/run:predict", content=content, headers={"Content-Type": "image/png"})
        (answer,) = response.json()["predictions"]
        assert answer["class"] == probabilities.argmax()
        assert answer["class_name"] == FACTS["class_names"][probabilities.argmax()]


def test_masks_of_a_batch_have_the_size_of_each_image():
    trained = trained_network("segmentation")
    places = places_of(trained.model, trained.facts)
    with client_of(serve_run("run", trained, LIMITS, 4)) as client:
        rows = [{"b64": base64.b64encode(content).decode()} for content in FILES]
        answer = client.post("/v1/models/run:predict?outputs=mask", json={"instances": rows}).json()
    for pixels, mask in zip(PICTURES, answer["predictions"], strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(mask["b64"]))))
        np.testing.assert_array_equal(shown, predict_mask(trained, pixels, places, "resize"))


def test_a_reconstruction_has_the_range_of_the_data():
    trained = trained_network("reconstruction", class_names=[])
    with client_of(serve_run("run", trained, LIMITS, 4)) as client:
        body = {"instances": [PICTURES[0].tolist()]}
        (image,) = client.post("/v1/models/run:predict", json=body).json()["predictions"]
    np.testing.assert_allclose(image, trained.predict(PICTURES[:1])[0], atol=1e-2)


def test_the_page_reads_what_the_server_has(client):
    (model,) = client.get("/models").json()["models"]
    assert set(re.findall(r"\bmodel\.(\w+)", client.get("/").text)) <= set(model)
    assert (model["classes"], model["shape"], model["range"]) == (["cat", "dog"], [8, 8, 3], [0, 255])


def test_the_input_is_of_the_type_of_the_training_images(client):
    tensor = client.get("/v2/models/run").json()["inputs"][0]
    assert tensor == {"name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}
    document = client.get("/v1/models/run/metadata").json()["metadata"]["signature_def"]["signature_def"]
    assert document["serving_default"]["inputs"]["images"]["dtype"] == "DT_UINT8"


def test_sizes_are_heights_and_widths(trained):
    preparation = Preparation(trained, LIMITS)
    for batch in (preparation.from_arrays(PICTURES), preparation.from_files(FILES)):
        assert [tuple(size) for size in batch.sizes] == list(SIZES)


def test_small_images_of_one_size_are_prepared_by_one_call_and_keep_their_places(trained, monkeypatch):
    sizes = [(30, 20), (9, 41), (300, 300), (30, 20), (9, 41), (30, 20)]
    pictures = [RNG.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    alone = [trained.inputs.from_pixels(pixels[None])[0] for pixels in pictures]
    preparation = Preparation(trained, LIMITS)
    batch = preparation.from_files([encode(pixels) for pixels in pictures])
    assert [example.shape[:2] for example in batch.inputs] == [*sizes[:2], (8, 8), *sizes[3:]]
    counts = []
    from_pixels = trained.inputs.from_pixels
    monkeypatch.setattr(trained.inputs, "from_pixels", lambda pixels: counts.append(len(pixels)) or from_pixels(pixels))
    np.testing.assert_array_equal(preparation.prepare(batch.inputs), alone)
    assert counts == [3, 2]


def png_of(width, height):
    """The header of a PNG that promises a size, and pixels for a part of it."""
    content = bytearray(encode(np.zeros((1, 1, 3), np.uint8)))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "an image of 0 bytes"),
        (b"no image", 400, "bad image: not an image: text"),
        (FILES[1][:200], 400, "bad image: "),
        (encode(PICTURES[1], "TIFF")[:50], 400, "bad image: "),
        (png_of(5000, 7000), 413, "images of 35.0 million pixels in a request; at most 32 million are allowed"),
        (png_of(30000, 30000), 413, "images of 900.0 million pixels"),
    ],
    ids=["empty", "text", "truncated", "half a TIFF", "large", "bomb"],
)
def test_bad_files_are_one_line(content, status, words, client):
    response = client.post("/v1/models/run:predict", content=content, headers={"Content-Type": "image/png"})
    assert response.status_code == status
    assert response.json()["error"].startswith(words)
    assert "(IMAGE)" not in response.json()["error"]


def test_the_pixels_of_a_request_are_bounded_together(trained):
    preparation = Preparation(trained, LIMITS._replace(pixels=664))
    assert len(preparation.from_files(FILES[:2])) == 2  # 64 + 600
    with pytest.raises(Refusal, match=r"images of 0\.0 million pixels in a request") as refusal:
        preparation.from_files(FILES)
    assert refusal.value.status == 413


def test_examples_are_counted_and_bounded(trained):
    preparation = Preparation(trained, LIMITS._replace(examples=2))
    for prepare, examples in ((preparation.from_files, FILES), (preparation.from_arrays, PICTURES)):
        assert len(prepare(examples[:2])) == 2
        with pytest.raises(Refusal, match="3 examples in a request; at most 2 are allowed"):
            prepare(examples)
        with pytest.raises(Refusal, match="an empty batch"):
            prepare([])


def test_the_pixels_of_arrays_are_bounded_together(trained):
    preparation = Preparation(trained, LIMITS._replace(pixels=664))
    assert len(preparation.from_arrays(PICTURES[:2])) == 2
    with pytest.raises(Refusal, match=r"--max-pixels"):
        preparation.from_arrays(PICTURES)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((8, 8, 4), int), "an array of shape (1, 8, 8, 4)"),
        (np.zeros((8,), int), "an array of shape"),
        (np.zeros((0,)), "an array of shape"),
        (np.full((8, 8, 3), 4000), "values from 4000 to 4000, but this run was trained on 0 to 255"),
        (np.full((8, 8, 3), 0.5), "values from 0.5 to 0.5"),
    ],
)
def test_arrays_of_another_shape_or_range_are_refused(array, words, client):
    response = client.post("/v1/models/run:predict", json={"instances": [array.tolist()]})
    assert response.status_code == 400
    assert words in response.json()["error"]


def test_sounds_are_examples():
    sound = keras.Input((16, 1))
    model = keras.Model(sound, keras.layers.Dense(2)(keras.layers.Flatten()(sound)))
    facts = {"image_shape": (16, 1), "value_range": (0, 1), "mean": [0.5], "std": [0.25]}
    trained = Trained(model, FACTS | facts)
    examples = RNG.random((2, 16, 1)).astype(np.float32)
    with client_of(serve_run("run", trained, LIMITS, 4)) as client:
        answer = client.post("/v1/models/run:predict", json={"instances": examples.tolist()}).json()
        file = client.post("/v1/models/run:predict", content=FILES[0], headers={"Content-Type": "image/png"})
        inputs = client.get("/v2/models/run").json()["inputs"]
        metadata = client.get("/v1/models/run/metadata").json()["metadata"]
    np.testing.assert_allclose(
        [row["probabilities"] for row in answer["predictions"]], trained.predict(examples), atol=1e-5
    )
    assert (file.status_code, file.json()["error"]) == (
        400,
        "this run takes examples of 16x1; image files have 1 or 3 channels",
    )
    assert inputs == [{"name": "examples", "datatype": "FP32", "shape": [-1, 16, 1]}]
    assert list(metadata["signature_def"]["signature_def"]) == ["serving_default"]
