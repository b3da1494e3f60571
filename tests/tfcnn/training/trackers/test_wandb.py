"""The tracked run in the files of Weights & Biases' offline mode: pip install -r requirements-wandb.txt."""

import struct
import time
from pathlib import Path

import pytest

from tfcnn.training.trackers.tracker import TrackedRun
from tfcnn.training.trackers.tracking import tracker_of

wandb = pytest.importorskip("wandb")

RUN = TrackedRun("run-1", Path("/runs/run-1"), {"arch": "lenet5", "lr": 0.006})


FULL, LAST = 1, 4  # kinds of parts; the others are the first and those in between
HEADER = 7  # bytes of the file, which is else a log of LevelDB
BLOCK = 2**15


def records(folder):
    """What the file of an offline run holds, as protocol buffers."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("*.wandb")
    content = path.read_bytes()
    place = HEADER
    data = b""
    while place < len(content):
        if BLOCK - place % BLOCK < 7:  # no room for the head of a part
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        data += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (FULL, LAST):
            yield wandb_internal_pb2.Record.FromString(data)
            data = b""


def test_a_run_that_is_interrupted_and_resumed(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = tracker_of("wandb")
    identifier, place = tracker.start(RUN, None)
    assert place.startswith("offline, wandb sync ")
    tracker.log_epoch({"epoch": 1, "loss": 2.0})
    tracker.stop("interrupted")
    time.sleep(1)  # the folder of an offline run is named by the second

    again = tracker_of("wandb")
    assert again.start(RUN, identifier)[0] == identifier
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"picture")
    again.finish({"test_accuracy": 0.9, "best_epoch": 1}, [picture])
    wandb.teardown()  # which has written the files, as the end of the process has

    folders = sorted((tmp_path / "wandb").glob(f"offline-run-*-{identifier}"))
    contents = [list(records(folder)) for folder in folders]
    exits = [record.exit.exit_code for content in contents for record in content if record.HasField("exit")]
    assert exits == [1, 0]
    rows = [item for record in contents[0] if record.HasField("history") for item in record.history.item]
    values = {item.key or item.nested_key[0]: item.value_json for item in rows}
    assert (values["epoch"], values["loss"]) == ("1", "2")
    run = next(record.run for record in contents[0] if record.HasField("run"))
    config = {item.key: item.value_json for item in run.config.update}
    assert (config["arch"], config["run_directory"]) == ('"lenet5"', '"/runs/run-1"')
    summaries = [
        {item.key or item.nested_key[0]: item.value_json for record in content for item in record.summary.update}
        for content in contents
    ]
    assert [summary["status"] for summary in summaries] == ['"interrupted"', '"finished"']
    assert summaries[1]["test_accuracy"] == "0.9"
