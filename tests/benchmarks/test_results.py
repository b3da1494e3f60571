from benchmarks.results import CASES, flags_of, summarise
from docs.commands import parser_of


def test_means_and_deviations_of_each_network():
    first, second = CASES[:2]
    common = {"parameters": "61706", "macs": "416520", "cpu_seconds": "90"}
    rows = [
        common | {"network": first.name, "flags": first.flags, "accuracy": "0.9", "images_per_second": "1000"},
        common | {"network": first.name, "flags": first.flags, "accuracy": "0.91", "images_per_second": "3000"},
        common | {"network": second.name, "flags": "--epochs 1", "accuracy": "0.5", "images_per_second": "1"},
    ]
    ((name, scores, mean, deviation, _, *costs),) = summarise(rows)  # rows of other flags do not count
    assert (name, scores, mean, deviation) == ("lenet5", "90.00, 91.00", "90.50", "0.71")
    assert costs == ["61,706", "0.4", "2,000", "1.5"]


def test_every_case_is_a_command():
    parser = parser_of("tfcnn.train")
    for case in CASES:
        parser.parse_args(flags_of(case, "folder", "digits.npz"))
