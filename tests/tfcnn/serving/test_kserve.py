"""KServe's protocol of version 2 against the example of its documentation."""

import base64

import pytest

import tfcnn
from tests.tfcnn.serving.stand_in import client_of, half_plus_two, with_three_outputs

INFER = "/v2/models/half_plus_two/infer"


@pytest.fixture(scope="module")
def client():
    with client_of(half_plus_two()) as client:
        yield client


def tensor(data, shape, datatype="FP32", name="x"):
    return {"inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": data}]}


def test_health_and_server(client):
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json() == {"name": "tfcnn", "version": tfcnn.__version__, "extensions": []}


@pytest.mark.parametrize("place", ["/v2/models/half_plus_two", "/v2/models/half_plus_two/versions/1"])
def test_a_model(client, place):
    assert client.get(f"{place}/ready").json() == {"name": "half_plus_two", "ready": True}
    document = client.get(place).json()
    assert (document["versions"], document["platform"]) == (["1"], "tensorflow_keras")
    assert document["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1]},
        {"name": "files", "datatype": "BYTES", "shape": [-1]},
    ]
    assert document["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1]}]


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]], ids=["flat", "nested"])
def test_infer(client, data):
    """The request of the documentation: a tensor flat or nested, with an id."""
    response = client.post(INFER, json=tensor(data, [2, 2]) | {"id": "42"})
    assert response.status_code == 200
    assert response.json() == {
        "model_name": "half_plus_two",
        "model_version": "1",
        "id": "42",
        "outputs": [{"name": "y", "shape": [2, 2], "datatype": "FP32", "data": [2.5, 3.0, 3.5, 4.0]}],
    }


def test_an_id_that_is_no_string_is_left_out(client):
    assert "id" not in client.post(INFER, json=tensor([1], [1]) | {"id": 42}).json()


def test_files(client):
    data = [base64.b64encode(content).decode() for content in (b"four", b"sixsix")]
    response = client.post(INFER, json=tensor(data, [2], "BYTES", "files"))
    assert response.json()["outputs"][0]["data"] == [4.0, 5.0]
    response = client.post(INFER, content=b"four", headers={"Content-Type": "image/jpeg"})
    assert response.json()["outputs"][0]["data"] == [4.0]


def test_outputs_of_text_and_bytes_and_those_that_are_asked_for():
    with client_of(with_three_outputs()) as client:
        answers = client.post(INFER, json=tensor([0, 1], [2])).json()["outputs"]
        text = {"name": "class_name", "shape": [2], "datatype": "BYTES", "data": ["cat", "dog"]}
        assert answers[0] == {"name": "class", "shape": [2], "datatype": "INT64", "data": [0, 1]}
        assert answers[1] == text
        assert (answers[2]["parameters"], answers[2]["data"]) == (
            {"content_type": "base64"},
            ["iVBORw==", "iVBORzI="],
        )
        asked = client.post(INFER, json=tensor([0, 1], [2]) | {"outputs": [{"name": "class_name"}]})
        assert asked.json()["outputs"] == [text]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, '"inputs" is a list of one tensor'),
        ({"inputs": []}, '"inputs" is a list of one tensor'),
        ({"inputs": [3]}, '"inputs" is a list of one tensor'),
        (tensor([], [0]), "an empty batch"),
        (tensor([], [10**9, 0]), "an empty batch"),
        (tensor([1], [2]), "data of 1 numbers for a shape of 2"),
        (tensor([1], [-1]), '"shape" of a tensor'),
        (tensor([1], [10**30]), '"shape" of a tensor'),
        (tensor([1], [1] * 100), '"shape" of a tensor'),
        (tensor([1], None), '"shape" of a tensor'),
        (tensor([1], []), '"shape" of a tensor'),
        (tensor([1], [1], "FP8"), "no datatype FP8"),
        (tensor([1], [1], name="z"), "an input z of FP32; this model takes x"),
        (tensor(["AAAA"], [1], "BYTES"), "an input x of BYTES; this model takes files"),
        (tensor(["AAAA"], [2], "BYTES", "files"), "data of 1 files for a shape of 2"),
        (tensor("AAAA", [1]), '"data" of a tensor is a list'),
        (tensor([1], [1]) | {"outputs": [{"name": "z"}]}, "no output 'z'"),
        (tensor([1], [1]) | {"outputs": 3}, '"outputs" is a list'),
    ],
)
def test_bad_requests_are_one_line(client, body, words):
    response = client.post(INFER, json=body)
    assert response.status_code == 400
    assert words in response.json()["error"]


def test_unknown_models(client):
    assert client.get("/v2/models/other").status_code == 404
    assert client.post("/v2/models/other/infer", json=tensor([1], [1])).status_code == 404
    assert client.get("/v2/models/half_plus_two/versions/9/ready").status_code == 404
