from benchmarks.detection import ARCHS, describe, score_lines, time_lines

ROW = {
    "arch": "fast_rcnn",
    "dataset": "boxes/easy",
    "map50": "0.9",
    "map": "0.6",
    "map_without_regression": "0.5",
    "map70": "0.8",
    "map70_without_regression": "0.75",
    "cpu_minutes": "5",
    "minutes": "3",
    "network_ms": "2",
    "proposals_ms": "35",
}


def test_means_of_each_detector_and_data_set():
    rows = [ROW, ROW | {"arch": "rcnn"}, ROW | {"map50": "1.0", "network_ms": "4"}]
    first, second = score_lines(rows)
    assert first == ["fast_rcnn", "boxes/easy", "2", "95.0%", "60.0%", "50.0%", "80.0%", "75.0%"]
    assert second[:4] == ["rcnn", "boxes/easy", "1", "90.0%"]
    assert time_lines(rows)[0] == ["fast_rcnn", "boxes/easy", "5.0", "3.0", "3.0", "35.0", "38.0"]


def test_the_recipes_in_words():
    assert [describe(arch).split("`")[1] for arch in ARCHS] == list(ARCHS)
    assert "backbone=" in describe("rcnn")
