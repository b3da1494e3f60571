"""A server process whose network is busy for a minute, and two signals."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BUSY = """
import http.client, sys, time
from tests.tfcnn.serving.stand_in import LIMITS, half_plus_two
from tfcnn.cli.parser import run_main
from tfcnn.serving.app import build_app
from tfcnn.serving.server import DrainingServer, bind
from tfcnn.serving.service import Service

def respond(inputs, sizes):
    print("busy", flush=True)
    time.sleep(60)
    return {"y": inputs}

def main():
    service = Service([half_plus_two(respond)], LIMITS)
    with bind("127.0.0.1", 0) as listener:
        connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1])
        listener.listen()
        connection.request("POST", "/v1/models/half_plus_two:predict", '{"instances": [1]}')
        DrainingServer(build_app(service), service, 60, "serving").run(sockets=[listener])

sys.exit(run_main(main))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_the_server_at_once(number, code):
    command = [sys.executable, "-c", BUSY]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    with contextlib.ExitStack() as stack:
        stack.callback(server.kill)
        assert [server.stdout.readline() for _ in range(2)] == ["serving\n", "busy\n"]
        server.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(timeout=0.3)
        server.send_signal(number)
        assert server.wait(timeout=10) == code
        assert server.communicate() == ("", "")
