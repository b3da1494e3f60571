from benchmarks.recipes import CASES, summarise
from tfcnn.models.registry import ARCHS


def test_means_and_deviations_of_each_network():
    unet = {"arch": "unet", "dataset": "shapes/easy", "width": "0.125"}
    voxnet = {"arch": "voxnet", "dataset": "solids", "width": "0.5"}
    rows = [
        unet | {"score": "0.9", "cpu_seconds": "60"},
        voxnet | {"score": "0.5", "cpu_seconds": "30"},
        unet | {"score": "0.8", "cpu_seconds": "120"},
    ]
    first, second = summarise(rows)
    assert first[:8] == ["unet", "shapes/easy", "0.125", "mean IoU", "90.00%, 80.00%", "85.00%", "7.07%", "1.5"]
    assert second[3:8] == ["accuracy", "50.00%", "50.00%", "", "0.5"]


def test_every_case_is_of_an_architecture():
    assert {case.arch for case in CASES} <= set(ARCHS)
