"""Files of weights that are no weights: NaN, archives that unpack to more than a network needs, code."""

import json
import tempfile
import zipfile

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import tfcnn
from tfcnn.errors import BadInput
from tfcnn.graph import in_order
from tfcnn.models import registry
from tfcnn.weights import limits, loading

pytestmark = pytest.mark.slow
SHAPE = (63, 63, 3)
NAMES = (*(f"features.{i}" for i in (0, 3, 6, 8, 10)), *(f"classifier.{i}" for i in (1, 4, 6)))  # of torchvision


@pytest.fixture
def network():
    return tfcnn.build("alexnet", SHAPE, 5, width=0.05)


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def assert_refused(network, path, message):
    before = network.get_weights()
    with pytest.raises(BadInput, match=message):
        loading.load(network, "alexnet", str(path), registry.arguments("alexnet", SHAPE, 5, width=0.05))
    for old, value in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, value)


def save_keras(network, folder):
    network.save(folder / "model.keras")
    return folder / "model.keras"


def save_h5(network, folder):
    network.save_weights(folder / "model.weights.h5")
    return folder / "model.weights.h5"


def state_dict(network):
    tensors = {}
    for name, layer in zip(NAMES, in_order(network), strict=True):
        kernel, bias = layer.get_weights()
        tensors[f"{name}.weight"] = np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
        tensors[f"{name}.bias"] = bias
    return tensors


def save_npz(network, folder):
    np.savez(folder / "model.npz", **state_dict(network))
    return folder / "model.npz"


def save_safetensors(network, folder):
    save_file(state_dict(network), folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("save", [save_keras, save_h5, save_npz, save_safetensors])
def test_a_value_that_is_no_number_is_refused_by_the_name_of_its_tensor(save, value, network, tmp_path):
    damaged = keras.models.clone_model(network)
    layer = in_order(damaged)[1]
    kernel, bias = layer.get_weights()
    kernel[0, 0, 0, 0] = value
    layer.set_weights([kernel, bias])
    assert_refused(network, save(damaged, tmp_path), r"kernel of (conv2|features.3) has 1 values? that")


@pytest.mark.parametrize("name", ["bomb.npz", "bomb.keras"])
def test_an_archive_that_unpacks_to_more_than_the_network_needs_is_refused(name, network, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MARGIN", 0)
    path = tmp_path / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.0.weight.npy", bytes(limits.limit_of(network.layers) + 1))
    assert path.stat().st_size < 50_000
    assert_refused(network, path, "unpacks to .* bytes, and no weights of this network take more than")


def write_safetensors(path, header, size=0):
    """A file of `size` bytes after a header, which takes no room on the disk."""
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)


def test_a_large_safetensors_file_is_refused_before_it_is_read(network, tmp_path):
    size = 2**36
    path = tmp_path / "large.safetensors"
    tensor = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    write_safetensors(path, {"features.0.weight": tensor}, size)
    assert_refused(network, path, r"has 68,719,476,\d+ bytes, and no weights of this network take more than")


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [4], "data_offsets": [2**63, 2**63 + 16]},
        {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]},
    ],
)
def test_a_safetensors_header_that_claims_more_than_there_is(tensor, network, tmp_path):
    path = tmp_path / "claims.safetensors"
    write_safetensors(path, {"features.0.weight": tensor}, 16 if tensor["shape"][0] else 0)
    assert_refused(network, path, "claims.safetensors' ")


@pytest.mark.parametrize("length", [0, 2**20, 2**63])
def test_a_safetensors_header_of_a_length_that_the_file_has_not(length, network, tmp_path):
    path = tmp_path / "claims.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    assert_refused(network, path, "claims.safetensors' cannot be read: ")


def test_compressed_datasets_are_counted_unpacked(network, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MARGIN", 0)
    path = tmp_path / "bomb.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv1/vars/0", (1 << 20, 1 << 10), compression="gzip", chunks=(1 << 10, 1 << 10))
    assert path.stat().st_size < 50_000
    assert_refused(network, path, "unpacks to 4,294,967,296 bytes")


def test_a_description_of_a_huge_network_is_refused_before_it_is_allocated(network, tmp_path):
    path = save_keras(network, tmp_path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    dense = [layer for layer in config["config"]["layers"] if layer["class_name"] == "Dense"][-1]
    dense["config"]["units"] = 10**9
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert_refused(network, path, "unpacks to .* bytes")


def test_a_tensor_in_another_file_is_refused(network, tmp_path):
    path = tmp_path / "external.weights.h5"
    (tmp_path / "secret").write_bytes(bytes(64))
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv1/vars/0", (16,), "float32", external=[(str(tmp_path / "secret"), 0, 64)])
    assert_refused(network, path, "tensor layers/conv1/vars/0 lies in another file")


def test_a_file_with_code_in_it_is_refused(network, tmp_path):
    inputs = keras.Input(SHAPE)
    outputs = keras.layers.Lambda(lambda x: x, output_shape=SHAPE)(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "code.keras")
    assert_refused(network, tmp_path / "code.keras", "cannot be read: .*[Ll]ambda")


def test_layers_of_another_package_are_refused(network, tmp_path):
    class Foreign(keras.layers.Layer):
        def call(self, x):
            return x

        def compute_output_shape(self, shape):
            return shape

    inputs = keras.Input(SHAPE)
    keras.Model(inputs, Foreign()(inputs)).save(tmp_path / "foreign.keras")
    assert_refused(network, tmp_path / "foreign.keras", "cannot be read: it has the class 'Foreign'")
