"""The command: what it refuses, and a server from its start to SIGTERM."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tfcnn import serve
from tfcnn.predict import predict
from tfcnn.serving.limits import Limits

ROOT = Path(__file__).parents[2]
SCAN = ROOT / "tests" / "scans" / "digit-3.png"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "70000"], "--port must be a whole number from 0 to 65535, got '70000'"),
        (["--port", "http"], "--port must be a whole number from 0 to 65535, got 'http'"),
        (["--max-batch", "0"], "--max-batch must be a whole number at least 1"),
        (["--max-delay", "-1"], "--max-delay must be a number above 0"),
        (["--timeout", "nan"], "--timeout must be a number above 0 and at most 3600, got 'nan'"),
        (["--max-body", "1.5"], "--max-body must be a whole number"),
        ([], "'nowhere' is not a run directory"),
    ],
)
def test_bad_flags(flags, words, call_command):
    process = call_command("tfcnn.serve", "nowhere", *flags)
    assert (process.returncode, process.stdout) == (2, "")
    assert words in process.stderr
    assert process.stderr.count("\n") == 1


def test_the_values_of_flags(call_command, monkeypatch):
    calls = []
    monkeypatch.setattr(serve, "name_runs", lambda paths: {"run": paths[0]})
    monkeypatch.setattr(serve, "serve", lambda *arguments: calls.append(arguments))
    bounds = ["--max-batch", "8", "--max-delay", "4", "--max-body", "2", "--max-pixels", "1000"]
    process = call_command("tfcnn.serve", "run", "--port", "65535", "--timeout", "5", *bounds)
    assert process.returncode == 0
    limits = Limits(body=2 * 2**20, pixels=1000, seconds=5.0)
    assert calls == [({"run": "run"}, "127.0.0.1", 65535, limits, 8, 0.004)]


def test_a_package_that_is_not_installed(call_command, monkeypatch):
    monkeypatch.setattr(serve, "PACKAGES", ("json", "not_installed"))
    monkeypatch.setattr(serve, "name_runs", lambda paths: {})
    process = call_command("tfcnn.serve", "run")
    assert process.returncode == 2
    assert process.stderr == "error: tfcnn.serve needs not_installed: pip install -r requirements-serve.txt\n"


@pytest.mark.slow
def test_runs_of_one_name(run_copy, call_command):
    process = call_command("tfcnn.serve", run_copy.path, f"{run_copy.path}/")
    assert process.returncode == 2
    assert "have one name, run; rename a folder (RUN)" in process.stderr


@pytest.mark.slow
def test_a_port_that_is_taken(finished_run, call_command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = call_command("tfcnn.serve", finished_run.path, "--port", port)
    assert process.returncode == 2
    assert process.stderr.startswith(f"error: no server can listen on 127.0.0.1, port {port}: ")


@pytest.mark.slow
def test_a_server_answers_as_predict_does_and_drains_on_sigterm(finished_run):
    """A batch waits two seconds for more; SIGTERM comes in between."""
    command = [sys.executable, "-m", "tfcnn.serve", str(finished_run.path), "--port", "0", "--max-delay", "2000"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    with contextlib.ExitStack() as stack:
        stack.callback(server.kill)
        lines = [server.stdout.readline() for _ in range(2)]
        assert lines[1].startswith("serving on http://127.0.0.1:")
        port = int(lines[1].rsplit(":", 1)[1])
        early, late = (stack.enter_context(connect(port)) for _ in range(2))
        answers = []
        thread = threading.Thread(target=lambda: answers.append(post(early)))
        thread.start()
        wait_until(late, "/metrics", "tfcnn_requests_waiting 1")
        server.send_signal(signal.SIGTERM)
        wait_until(late, "/v2/health/ready", "shutting down")
        refused = post(late)
        thread.join()
        assert server.wait(timeout=60) == 143
        output, errors = server.communicate()
    assert (output, errors) == ("", "\ninterrupted\n")
    assert refused == (503, {"error": "the server is shutting down"})
    (classes,) = predict(finished_run, [SCAN], top=10)
    status, document = answers[0]
    assert status == 200
    probabilities = dict(zip("0123456789", document["predictions"][0]["probabilities"], strict=True))
    assert probabilities == pytest.approx(dict(classes), abs=1e-5)


def post(connection):
    connection.request("POST", "/v1/models/run:predict", SCAN.read_bytes(), {"Content-Type": "image/png"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def connect(port):
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port))


def wait_until(connection, address, words):
    """Ask until the answer has words."""
    text = ""
    while words not in text:
        connection.request("GET", address)
        text = connection.getresponse().read().decode()
