"""What happens to a request that is too large, too late, or whose client has left."""

import asyncio
import json
import threading

import numpy as np
import pytest

from tests.tfcnn.serving.stand_in import LIMITS, client_of, half_plus_two
from tfcnn.serving.app import build_app
from tfcnn.serving.service import Service

PREDICT = "/v1/models/half_plus_two:predict"
ONE = {"instances": [1.0]}


class Busy:
    """A network that computes when the gate is open."""

    def __init__(self):
        self.gate = threading.Event()
        self.began = threading.Event()
        self.computed = []

    def __call__(self, inputs, sizes):
        self.began.set()
        assert self.gate.wait(10)
        self.computed += list(inputs)
        return {"y": np.array(inputs)}


@pytest.fixture
def busy():
    network = Busy()
    yield network
    network.gate.set()


def post_in_thread(client, results):
    """Send a request, whose response `results` gets."""
    thread = threading.Thread(target=lambda: results.append(client.post(PREDICT, json=ONE)))
    thread.start()
    return thread


@pytest.mark.parametrize("announced", [True, False])
def test_a_large_body_is_refused(announced):
    content = b" " * 2000
    with client_of(half_plus_two(), limits=LIMITS._replace(body=1000)) as client:
        response = client.post(PREDICT, content=content if announced else iter([content[:900], content[900:]]))
    assert response.status_code == 413
    assert "MiB are allowed (--max-body)" in response.json()["error"]


def test_a_body_of_the_largest_size_is_read():
    content = json.dumps(ONE).encode().ljust(1000)
    with client_of(half_plus_two(), limits=LIMITS._replace(body=1000)) as client:
        assert client.post(PREDICT, content=content).json() == {"predictions": [2.5]}


def test_a_large_body_is_not_read_whole():
    parts = []

    def content():
        for _ in range(1000):
            parts.append(1)
            yield b" " * 1000

    with client_of(half_plus_two(), limits=LIMITS._replace(body=5000)) as client:
        sent = asyncio.run(send(client.app, content()))
    assert (sent[0]["status"], len(parts)) == (413, 6)


async def send(app, parts):
    """What an application sends to a client of a body in parts, who then leaves."""
    sent = []

    async def receive():
        for part in parts:
            return {"type": "http.request", "body": part, "more_body": True}
        return {"type": "http.disconnect"}

    async def note(message):
        sent.append(message)

    await app(scope_of(PREDICT), receive, note)
    return sent


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/octet-stream"])
def test_other_types_are_refused(kind):
    with client_of(half_plus_two()) as client:
        response = client.post(PREDICT, content=b"{}", headers={"Content-Type": kind})
    assert response.status_code == 415
    assert response.json()["error"].startswith(f"Content-Type {kind.partition(';')[0]}; send application/json")


def test_too_many_examples_are_refused():
    limits = LIMITS._replace(examples=3)
    with client_of(half_plus_two(limits=limits), limits=limits) as client:
        assert client.post(PREDICT, json={"instances": [1, 2, 3]}).status_code == 200
        response = client.post(PREDICT, json={"instances": [1, 2, 3, 4]})
    assert (response.status_code, response.json()["error"]) == (
        413,
        "4 examples in a request; at most 3 are allowed",
    )


def test_a_request_whose_time_is_over_is_not_computed(busy):
    with client_of(half_plus_two(busy), limits=LIMITS._replace(seconds=0.3), largest=1) as client:
        results = []
        thread = post_in_thread(client, results)
        assert busy.began.wait(5)
        late = client.post(PREDICT, json={"instances": [2.0]})
        thread.join()
        busy.gate.set()
        after = client.post(PREDICT, json={"instances": [3.0]})
    assert (late.status_code, late.json()["error"]) == (504, "no answer within 0.3 seconds (--timeout)")
    assert (results[0].status_code, after.json()) == (504, {"predictions": [3.0]})
    assert busy.computed == [1.0, 3.0]  # the first was being computed when its time was over


def test_a_request_whose_client_left_is_not_computed(busy):
    service = Service([half_plus_two(busy)], LIMITS, largest=1)
    app = build_app(service)

    async def leave_while_busy():
        first = asyncio.create_task(ask(app, 1.0, asyncio.Event()))
        await asyncio.to_thread(busy.began.wait, 5)
        left = asyncio.Event()
        second = asyncio.create_task(ask(app, 2.0, left))
        while "tfcnn_requests_waiting 1" not in service.metrics.text():
            await asyncio.sleep(0.01)
        left.set()
        await second
        busy.gate.set()
        return await first

    sent = asyncio.run(leave_while_busy())
    service.close()
    assert json.loads(sent[1]["body"]) == {"predictions": [1.0]}
    assert busy.computed == [1.0]
    assert "tfcnn_requests_left_total 1" in service.metrics.text()


async def ask(app, value, left):
    """What an application sends to a client who leaves at an event."""
    sent = []
    body = [{"type": "http.request", "body": json.dumps({"instances": [value]}).encode()}]

    async def receive():
        if body:
            return body.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def note(message):
        sent.append(message)

    await app(scope_of(PREDICT), receive, note)
    return sent


def scope_of(path):
    """A request as ASGI has it."""
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }


def test_more_requests_than_allowed_are_refused(busy):
    with client_of(half_plus_two(busy), limits=LIMITS._replace(requests=1)) as client:
        results = []
        thread = post_in_thread(client, results)
        assert busy.began.wait(5)
        response = client.post(PREDICT, json=ONE)
        busy.gate.set()
        thread.join()
    assert (response.status_code, results[0].status_code) == (503, 200)
    assert "1 requests are being answered already" in response.json()["error"]


def test_what_has_begun_is_answered_and_new_requests_are_refused(busy):
    with client_of(half_plus_two(busy)) as client:
        results = []
        thread = post_in_thread(client, results)
        assert busy.began.wait(5)
        client.service.draining = True
        refused = client.post(PREDICT, json=ONE)
        health = client.get("/v2/health/ready")
        model = client.get("/v2/models/half_plus_two/ready")
        alive = client.get("/v2/health/live")
        busy.gate.set()
        thread.join()
    assert (refused.status_code, health.status_code, model.status_code, alive.status_code) == (503, 503, 503, 200)
    assert refused.headers["connection"] == "close"
    assert results[0].json() == {"predictions": [1.0]}


def test_an_error_of_the_network_is_one_line():
    def fail(inputs, sizes):
        raise RuntimeError("out of luck\nand more")

    with client_of(half_plus_two(fail)) as client:
        response = client.post(PREDICT, json=ONE)
    assert (response.status_code, response.json()) == (500, {"error": "the network failed: out of luck"})


def test_an_output_that_is_not_finite_is_an_error():
    with client_of(half_plus_two(lambda inputs, sizes: {"y": np.array(inputs) * np.nan})) as client:
        response = client.post(PREDICT, json=ONE)
    assert (response.status_code, response.json()) == (500, {"error": "the network's output is not finite"})


def test_the_page_loads_nothing_from_elsewhere():
    with client_of(half_plus_two()) as client:
        response = client.get("/")
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "//" not in response.text.replace("// ", "")


def test_the_models_of_the_page():
    with client_of(half_plus_two(), half_plus_two(name="other")) as client:
        models = client.get("/models").json()["models"]
    facts = {"task": "classification", "images": True, "outputs": ["y"]}
    assert models == [facts | {"name": "half_plus_two"}, facts | {"name": "other"}]


def test_long_messages_are_cut():
    with client_of(half_plus_two()) as client:
        response = client.post(PREDICT, json={"instances": [1], "signature_name": "s" * 10_000})
    assert response.json()["error"] == "no signature '" + "s" * 486
