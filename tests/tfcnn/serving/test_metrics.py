"""The text format of Prometheus, read by the rules of its documentation."""

import re

from tests.tfcnn.serving.stand_in import client_of, half_plus_two
from tfcnn.serving.metrics import Metrics

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*)\})? ([0-9.]+)')


def samples_of(text):
    """Values by name and labels; every line is a comment or a sample."""
    samples = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if not re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            samples[name, labels] = float(value)
    return samples


def test_buckets_hold_all_up_to_their_bound():
    metrics = Metrics({})
    for seconds in (0.0005, 0.001, 0.003, 60.0):
        metrics.note_request("a", "rest", 200, seconds)
    samples = samples_of(metrics.text())
    buckets = {labels: value for (name, labels), value in samples.items() if name == "tfcnn_request_seconds_bucket"}
    assert buckets['model="a",le="0.001"'] == 2
    assert buckets['model="a",le="0.005"'] == 3
    assert buckets['model="a",le="10.0"'] == 3
    assert buckets['model="a",le="+Inf"'] == samples["tfcnn_request_seconds_count", 'model="a"'] == 4
    assert samples["tfcnn_request_seconds_sum", 'model="a"'] == 60.0045


def test_names_are_escaped():
    metrics = Metrics({})
    metrics.note_request('a"b\\', "rest", 200, 0.1)
    assert ("tfcnn_requests_total", r'model="a\"b\\",protocol="rest",status="200"') in samples_of(metrics.text())


def test_a_server_counts_what_it_answers():
    with client_of(half_plus_two()) as client:
        client.post("/v1/models/half_plus_two:predict", json={"instances": [1, 2, 3]})
        client.post("/v2/models/half_plus_two/infer", json={})
        response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = samples_of(response.text)
    assert samples["tfcnn_requests_total", 'model="half_plus_two",protocol="rest",status="200"'] == 1
    assert samples["tfcnn_requests_total", 'model="half_plus_two",protocol="kserve",status="400"'] == 1
    assert samples["tfcnn_batch_examples_sum", 'model="half_plus_two"'] == 3
    assert samples["tfcnn_batch_examples_bucket", 'model="half_plus_two",le="2"'] == 0
    assert samples["tfcnn_batch_examples_bucket", 'model="half_plus_two",le="4"'] == 1
    assert samples["tfcnn_requests_waiting", None] == 0
    assert samples["tfcnn_requests_answering", None] == 0
