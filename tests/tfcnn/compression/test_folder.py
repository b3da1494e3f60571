"""The folder of a compressed network: read to the bit, and refused in one line where it is damaged."""

import json

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn.compression import folder, load
from tfcnn.compression.sharing import share
from tfcnn.compression.weights_file import as_stored
from tfcnn.errors import BadInput, ExportFailed
from tfcnn.files import check_target

RNG = np.random.default_rng(0)
FACTS = {
    "task": "classification",
    "image_shape": [32, 32, 1],
    "value_range": [0, 255],
    "white_level": 65535,
    "dtype": "uint8",
    "mean": [0.5],
    "std": [0.25],
    "fit": "crop",
    "class_names": list("0123456789"),
}


@pytest.fixture(scope="module")
def model():
    """A small LeNet-5 whose kernels are half zeros and shared by 2 bits."""
    model = tfcnn.build("lenet5", (32, 32, 1), 10, width=0.25)
    for weight in model.weights:
        values = RNG.normal(size=weight.shape).astype(np.float32)
        if weight.path.endswith("kernel"):
            shared = share(np.where(RNG.random(values.shape) < 0.5, 0, values), bits=2)
            values = np.concatenate([[0], shared.centroids])[shared.codes]
        weight.assign(as_stored(weight.path, values))
    return model


@pytest.fixture
def written(model, tmp_path):
    content, _ = folder.encode(model, huffman=True)
    folder.write(tmp_path / "out", model, FACTS, content, {"scores": {}})
    return tmp_path / "out"


def test_the_network_is_read_to_the_bit(model, written):
    images = RNG.integers(0, 256, (3, 32, 32, 1)).astype(np.uint8)
    trained = load(written)
    inputs = ((images / 255 - 0.5) / 0.25).astype(np.float32)
    expected = keras.ops.softmax(model(inputs)).numpy()
    np.testing.assert_allclose(trained.predict(images), expected, atol=1e-6)
    for weight, original in zip(trained.model.weights, model.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), original.numpy())


def test_another_network_is_not_written(model, tmp_path):
    content, _ = folder.encode(model, huffman=False)
    other = keras.models.clone_model(model)
    with pytest.raises(ExportFailed, match="has other values of 'stage1/kernel'"):
        folder.write(tmp_path / "out", other, FACTS, content, {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_user_is_not_replaced(written):
    assert check_target(written, folder.COMPRESSION) == written
    (written / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="other than a compressed network"):
        check_target(written, folder.COMPRESSION)


def test_a_link_to_a_folder_is_not_replaced(written, tmp_path):
    (tmp_path / "link").symlink_to(written)
    assert not folder.is_compression(tmp_path / "link")
    with pytest.raises(BadInput):
        check_target(tmp_path / "link", folder.COMPRESSION)


@pytest.mark.parametrize("name", ["network.json", "notes.txt"])
def test_a_folder_without_a_report_is_not_replaced(name, tmp_path):
    (tmp_path / name).write_text("{}")
    with pytest.raises(BadInput, match="other than a compressed network"):
        check_target(tmp_path, folder.COMPRESSION)


def test_the_report_and_the_picture_are_written(model, tmp_path):
    content, _ = folder.encode(model, huffman=False)
    folder.write(tmp_path / "out", model, FACTS, content, {"scores": {}}, b"picture")
    assert json.loads((tmp_path / "out" / "compression.json").read_text()) == {"scores": {}}
    assert (tmp_path / "out" / "sensitivity.png").read_bytes() == b"picture"


def test_a_large_file_is_not_read(written, monkeypatch):
    monkeypatch.setattr(folder, "LARGEST_FILE", 100)
    with pytest.raises(BadInput, match=r"weights\.bin' has more than 100 bytes"):
        load(written)


def test_code_in_a_network_is_refused(written):
    inputs = keras.Input((32, 32, 1))
    model = keras.Model(inputs, keras.layers.Lambda(lambda images: images)(inputs))
    change_network(written, lambda network: network.update(model=keras.saving.serialize_keras_object(model)))
    with pytest.raises(BadInput, match=r"holds no network that can be built: .*Lambda"):
        load(written)


def change_network(path, change):
    network = json.loads((path / "network.json").read_text())
    change(network)
    (path / "network.json").write_text(json.dumps(network))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: (path / "weights.bin").write_bytes(b"PK\3\4"), "weights.bin' cannot be used: it does not begin"),
        (lambda path: (path / "weights.bin").unlink(), "it has no weights.bin"),
        (lambda path: (path / "network.json").write_text("{"), "is not readable JSON"),
        (lambda path: (path / "network.json").write_text("{}"), "it has no 'model'"),
        (lambda path: change_network(path, lambda n: n.update(model=3)), "no network that can be built"),
        (lambda path: change_network(path, lambda n: n["data"].pop("mean")), "it has no 'mean'"),
        (
            lambda path: change_network(path, lambda n: n["model"]["config"]["layers"][-1]["config"].update(units=5)),
            "where the network has shape",
        ),
        (
            lambda path: change_network(
                path, lambda n: n["model"]["config"]["layers"][-1]["config"].update(units=10**12)
            ),
            "more than this machine's memory",
        ),
    ],
)
def test_damaged_folders_are_refused_in_one_line(damage, words, written):
    damage(written)
    with pytest.raises(BadInput, match=words) as error:
        load(written)
    assert "\n" not in str(error.value)
