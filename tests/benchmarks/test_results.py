import json

from benchmarks import results
from benchmarks.results import CASES, flags_of, measure, others, summarise
from docs.commands import parser_of


def test_means_and_deviations_of_each_network():
    first, second = CASES[:2]
    common = {"parameters": "61706", "macs": "416520", "cpu_seconds": "90"}
    rows = [
        common | {"network": first.name, "flags": first.flags, "accuracy": "0.9", "images_per_second": "1000"},
        common
        | {"network": first.name, "flags": first.flags, "accuracy": "0.91", "images_per_second": "3000"}
        | {"cpu_seconds": ""},  # was stopped and continued
        common | {"network": second.name, "flags": "--epochs 1", "accuracy": "0.5", "images_per_second": "1"},
    ]
    ((name, scores, mean, deviation, _, *costs),) = summarise(rows)  # rows of other flags do not count
    assert (name, scores, mean, deviation) == ("lenet5", "90.00, 91.00", "90.50", "0.71")
    assert costs == ["61,706", "0.4", "2,000", "1.5"]
    assert others(rows) == [[second.name, "`--epochs 1`", "50.00"]]


def test_every_case_is_a_command():
    parser = parser_of("tfcnn.train")
    for case in CASES:
        parser.parse_args(flags_of(case, "folder", "digits.npz"))


def test_a_stopped_run_is_continued(tmp_path, monkeypatch):
    commands = []

    def train(flags, folder):
        commands.append(" ".join(flags))
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"cost": {"parameters": 1, "macs": 2}}))
        return {"test_accuracy": 0.9, "images_per_second": 1.0, "wall_seconds": 3.0, "cpu_seconds": 4.0}

    monkeypatch.setattr(results, "train", train)
    whole, continued = (measure(CASES[0], 1, "clothes", tmp_path) for _ in range(2))
    assert commands[0].startswith("--dataset clothes --hflip 0.5 --arch lenet5")
    assert commands[0].endswith("--seed 1")
    assert commands[1] == f"{commands[0]} --resume"
    assert (whole["cpu_seconds"], continued["cpu_seconds"], continued["accuracy"]) == ("4", "", "0.9000")
