import pytest

from benchmarks.memory import CHECKPOINTED, peak_of, summarise


def test_a_line_for_each_contender():
    def needed(name, batch):
        return {"weights": 10.0, "all": batch * 2.0, "cut": batch * 0.5}

    common = {"network": "lenet5@28", "built_mib": "5", "first_step_mib": "70.4"}
    rows = [
        common | {"batch": "20", "contender": "ours", "step_mib": "100", "step_cpu_seconds": "2"},
        common | {"batch": "20", "contender": CHECKPOINTED, "step_mib": "60", "step_cpu_seconds": "3"},
        common | {"batch": "40", "contender": "PyTorch", "step_mib": "90", "step_cpu_seconds": "9"},
    ]
    ours, checkpointed, torch = summarise(rows, needed)
    assert ours == ["lenet5@28, batches of 20", "ours", "100", "40", "10", "2.00", "70", "5", "1.00"]
    assert checkpointed[2:6] == ["60", "10", "10", "3.00"]
    assert checkpointed[-1] == "1.50"
    assert torch[2:6] == ["90", "80", "10", "1.00"]
    assert torch[-1] == ""


def test_the_peak_is_of_the_call_alone():
    assert peak_of(lambda: bytearray(64 << 20)) - peak_of(lambda: None) == pytest.approx(64, abs=4)
