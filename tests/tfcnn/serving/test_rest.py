"""TensorFlow Serving's REST against the examples of its documentation and its own messages.

https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64

import numpy as np
import pytest
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2

from tests.tfcnn.serving.stand_in import client_of, half_plus_two, with_three_outputs

PREDICT = "/v1/models/half_plus_two:predict"


@pytest.fixture(scope="module")
def client():
    with client_of(half_plus_two()) as client:
        yield client


@pytest.fixture(scope="module")
def client_of_three():
    with client_of(with_three_outputs()) as client:
        yield client


def test_the_documented_row(client):
    """curl -d '{"instances": [1.0,2.0,5.0]}' sends its JSON as a form."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    response = client.post(PREDICT, content='{"instances": [1.0,2.0,5.0]}', headers=kind)
    assert (response.status_code, response.json()) == (200, {"predictions": [2.5, 3.0, 4.5]})


def test_the_documented_version(client):
    body = {"signature_name": "serving_default", "instances": [1.0, 2.0, 5.0]}
    response = client.post("/v1/models/half_plus_two/versions/1:predict", json=body)
    assert response.json() == {"predictions": [2.5, 3.0, 4.5]}


@pytest.mark.parametrize("body", [{"inputs": [1, 2, 5]}, {"inputs": {"x": [1, 2, 5]}}])
def test_the_column(client, body):
    assert client.post(PREDICT, json=body).json() == {"outputs": [2.5, 3.0, 4.5]}


def test_rows_with_the_name_of_the_input(client):
    assert client.post(PREDICT, json={"instances": [{"x": 1}, {"x": 2}]}).json() == {"predictions": [2.5, 3.0]}


@pytest.mark.parametrize("name", ["serving_default", "serve", "serve_files"])
def test_the_signatures_of_the_savedmodel(client, name):
    body = {"signature_name": name, "instances": [1, 2]}
    assert client.post(PREDICT, json=body).json() == {"predictions": [2.5, 3.0]}


def test_nested_lists_are_tensors(client):
    body = {"instances": [[[1, 2]], [[3, 4]]]}  # "List of 2 tensors each of [1, 2] shape"
    assert client.post(PREDICT, json=body).json() == {"predictions": [[[2.5, 3.0]], [[3.5, 4.0]]]}


def test_binary_values(client):
    """Documented: {"b64": <base64 encoded string>}; the network sees the length of a file."""
    files = [{"b64": base64.b64encode(content).decode()} for content in (b"four", b"sixsix")]
    assert client.post(PREDICT, json={"instances": files}).json() == {"predictions": [4.0, 5.0]}
    named = [{"files": file} for file in files]
    assert client.post(PREDICT, json={"instances": named}).json() == {"predictions": [4.0, 5.0]}
    assert client.post(PREDICT, json={"inputs": {"files": files}}).json() == {"outputs": [4.0, 5.0]}


def test_a_body_that_is_an_image(client):
    response = client.post(PREDICT, content=b"four", headers={"Content-Type": "image/png"})
    assert response.json() == {"predictions": [4.0]}


def test_several_outputs(client_of_three):
    cat = {"class": 0, "class_name": "cat", "mask": {"b64": "iVBORw=="}}
    dog = {"class": 1, "class_name": "dog", "mask": {"b64": "iVBORzI="}}
    assert client_of_three.post(PREDICT, json={"instances": [0, 1]}).json() == {"predictions": [cat, dog]}
    columns = {name: [cat[name], dog[name]] for name in cat}
    assert client_of_three.post(PREDICT, json={"inputs": [0, 1]}).json() == {"outputs": columns}


def test_names_of_several_boxes_are_lists():
    names = np.array([["cat", ""], ["dog", "cat"]], object)
    with client_of(half_plus_two(lambda inputs, sizes: {"class_name": names})) as client:
        answer = client.post(PREDICT, json={"instances": [0, 1]}).json()
    assert answer == {"predictions": [["cat", ""], ["dog", "cat"]]}


def test_outputs_that_are_asked_for(client_of_three):
    address = f"{PREDICT}?outputs=class_name"
    assert client_of_three.post(address, json={"instances": [1]}).json() == {"predictions": ["dog"]}
    response = client_of_three.post(f"{PREDICT}?outputs=box", json={"instances": [1]})
    assert (response.status_code, response.json()["error"][:15]) == (400, "no output 'box'")


def test_the_documented_status(client):
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for address in ("/v1/models/half_plus_two", "/v1/models/half_plus_two/versions/1"):
        assert client.get(address).json() == {"model_version_status": [status]}


def test_the_metadata_are_a_signature_of_tensorflow(client_of_three):
    document = client_of_three.get("/v1/models/half_plus_two/metadata").json()
    assert document["model_spec"] == {"name": "half_plus_two", "signature_name": "", "version": "1"}
    signatures = document["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"serving_default", "serve_files"}
    parsed = json_format.ParseDict(signatures["serving_default"], meta_graph_pb2.SignatureDef())
    assert parsed.method_name == "tensorflow/serving/predict"
    assert {name: row.dtype for name, row in parsed.outputs.items()} == {"class": 9, "class_name": 7, "mask": 7}
    assert [side.size for side in parsed.inputs["x"].tensor_shape.dim] == [-1]


def test_the_answers_are_messages_of_tensorflow_serving(client):
    pytest.importorskip("tensorflow_serving")
    from tensorflow_serving.apis import get_model_status_pb2, model_pb2

    status = client.get("/v1/models/half_plus_two").json()
    message = json_format.ParseDict(status, get_model_status_pb2.GetModelStatusResponse())
    assert message.model_version_status[0].state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    spec = client.get("/v1/models/half_plus_two/metadata").json()["model_spec"]
    assert json_format.ParseDict(spec, model_pb2.ModelSpec()).version.value == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"instances": []}, "an empty batch"),
        ({"inputs": []}, "an empty batch"),
        ({"inputs": {"x": []}}, "an empty batch"),
        ({}, 'either "instances" or "inputs"'),
        ({"instances": [1], "inputs": [1]}, 'either "instances" or "inputs"'),
        ({"instances": 3}, "examples are a list"),
        ({"instances": {"x": [1]}}, "examples are a list"),
        ({"instances": [1], "signature_name": "train"}, "no signature 'train'"),
        ({"instances": [{"y": 1}]}, "inputs y; there is one, x or files"),
        ({"instances": [{"x": 1, "z": 2}]}, "inputs x, z; there is one"),
        ({"instances": [{"b64": "?"}]}, "b64 is no base64"),
        ({"instances": [{"b64": 3}]}, "b64 holds a number"),
        ({"instances": [{"b64": "AAAA"}, 1]}, "a nested list of numbers, or an image file"),
        ({"instances": ["/etc/passwd"]}, "a nested list of numbers, or an image file"),
        ({"instances": [[[1, 2], [3]]]}, "lists of unequal length"),
        ({"instances": [None]}, "a nested list of numbers"),
        ({"instances": [10**400]}, "a nested list of numbers"),
    ],
)
def test_bad_requests_are_one_line(client, body, words):
    response = client.post(PREDICT, json=body)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the body is no JSON"),
        (b"{", "the body is no JSON"),
        (b"\xff\xfe\xfa", "the body is no JSON"),
        (b"[1]", "the body is a JSON list"),
        (b'{"instances": [NaN]}', "NaN in the body; send finite numbers"),
        (b'{"instances": [-Infinity]}', "-Infinity in the body"),
        (b'{"instances": [1e999]}', "beyond the range of floating point"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "the body is no JSON"),
        (b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_bad_json_is_one_line(client, content, words):
    response = client.post(PREDICT, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/v1/models/other", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/half_plus_two/versions/2:predict", 404),
        ("GET", "/v1/models/half_plus_two/versions/2/metadata", 404),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/models/half_plus_two:classify", 405),
        ("GET", PREDICT, 404),
    ],
)
def test_unknown_addresses(client, method, address, status):
    response = client.request(method, address, json={"instances": [1]} if method == "POST" else None)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
