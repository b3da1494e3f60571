import json
import subprocess
import sys
from pathlib import Path

import pytest

from tfcnn import cost, factory, train
from tfcnn.arithmetic.scaling import Constants, compound_grid
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import write_json
from tfcnn.run_directory import RunDirectory
from tuning import scale
from tuning.scaling import compound, published, runs
from tuning.scaling.tradeoff import tradeoff

COUNTS = Path(__file__).resolve().parents[1] / "tfcnn" / "models"


@pytest.fixture
def untrained(monkeypatch):
    """Runs that leave metrics without training: an accuracy by `outcomes(config)`; the configurations that were run."""
    ran = []

    def outcomes(config):
        return 0.5

    def run(config):
        ran.append(config)
        accuracy = run.outcomes(config)
        if accuracy is None:
            raise TrainingFailed("the loss is not finite")
        directory = RunDirectory(config.out)
        directory.make()
        write_json(directory.config, {"config": config.to_dict()})
        write_json(directory.metrics, {"val_accuracy": accuracy})
        return directory

    run.outcomes, run.ran = outcomes, ran
    monkeypatch.setattr(train, "run", run)
    return run


def test_networks_of_the_grid_are_priced_as_they_are_built():
    config, grid = Config(arch="lenet5", image_size=32), compound_grid(0.25, 0.2)
    found = compound.candidates(config, grid, 32, 1, 10)
    assert sum(each.same for each in found) == len(grid)
    assert len({each.cost for each in found}) == len(found) > 2
    for each in found:
        side = round(32 * each.constants.gamma)
        with cost.weightless():
            model = factory.build("lenet5", (side, side, 1), 10, width=each.constants.beta, depth=each.constants.alpha)
        assert (each.cost.params, each.cost.side) == (model.count_params(), side)
        assert each.cost.macs == cost.cost_table(model).macs


def test_constants_of_one_network_are_tried_once():
    """LeNet's depth repeats its one hidden layer: 1.9, 2.0 and 2.1 round up to 2 or 3."""
    grid = [Constants(1.9, 1, 1), Constants(2.0, 1, 1), Constants(2.1, 1, 1)]
    two, three = compound.candidates(Config(arch="lenet5"), grid, 32, 1, 10)
    assert (two.constants, two.same) == ((2, 1, 1), 2)
    assert (three.constants, three.same) == ((2.1, 1, 1), 1)


def test_the_best_has_the_highest_mean():
    low, high, cheap, failed = (
        compound.Candidate(Constants(1, 1, n), runs.Cost(1, macs, 1, 1), 1) for n, macs in enumerate((5, 5, 4, 1))
    )
    best = compound.best_of({low: [0.9, 0.1], high: [0.5, 0.7], failed: [1.0, float("nan")]})
    assert best is high
    assert compound.best_of({high: [0.5, 0.7], cheap: [0.6, 0.6]}) is cheap
    assert compound.best_of({failed: [float("nan")]}) is None


def test_a_study_chooses_continues_and_says_how_to_train(untrained, tmp_path, capsys):
    def outcomes(config):  # the second seed is misleading alone; "1.25,1,1.25" has the best mean
        means = {"1.25,1.25,1": 0.7, "1.25,1,1.25": 0.8, "2,1,1": None}
        mean = means[config.compound]
        return mean and mean + (0.15 if config.seed else -0.15) * (1 if config.compound == "1.25,1.25,1" else -0.5)

    untrained.outcomes = outcomes
    config, study = Config(arch="lenet5", width=0.5), tmp_path / "study"
    chosen = compound.compound(config, study, seeds=2, step=0.25, tolerance=0.1)
    assert chosen == (1.25, 1, 1.25)
    assert {(c.phi, c.seed, c.width) for c in untrained.ran} == {(1, 0, 0.5), (1, 1, 0.5)}
    printed = capsys.readouterr().out
    flags = "--arch lenet5 --width 0.5 --phi 2.0 --compound 1.25,1,1.25 --dataset digits"
    assert f"\npython -m tfcnn.train {flags}\n" in printed
    family = [line.split() for line in printed.split("nominal\n")[-1].splitlines()[1:9]]
    assert [line[0] for line in family] == [str(phi) for phi in range(8)]
    assert [line[3] for line in family] == [str(round(32 * 1.25**phi)) for phi in range(8)]
    assert json.loads((study / "scale.json").read_text())["chosen"] == "1.25,1,1.25"

    untrained.ran.clear()
    compound.compound(config, study, seeds=2, step=0.25, tolerance=0.1)
    assert {run.compound for run in untrained.ran} == {"2,1,1"}  # what failed is tried again
    with pytest.raises(BadInput, match=r"was made with --width 0.5, not 1.0: give that, or another --study"):
        compound.compound(Config(arch="lenet5"), study, seeds=2, step=0.25, tolerance=0.1)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"is no study of tuning.scale: give another --study"):
        runs.check_study(tmp_path, Config())


def test_seeds_go_on_from_that_of_the_configuration(tmp_path):
    found = runs.with_seeds(Config(seed=5), 2, tmp_path, "it")
    assert [(config.seed, config.out) for config in found] == [
        (5, str(tmp_path / "it-seed5")),
        (6, str(tmp_path / "it-seed6")),
    ]


def test_published_family():
    """Widths, depths and images of the authors' code; counts of the golden tables."""
    golden = {}
    for file in ("reference.json", "published.json"):
        rows = json.loads((COUNTS / file).read_text())["rows"]
        golden |= {row["arch"]: row.get("trainable") for row in rows if row["arch"].startswith("efficientnet")}
    names, family = list(published.PUBLISHED), [line.split() for line in published.published().splitlines()[2:]]
    assert [row[1] for row in family] == ["1.0", "1.0", "1.1", "1.2", "1.4", "1.6", "1.8", "2.0"]
    assert [row[2] for row in family] == ["1.0", "1.1", "1.2", "1.4", "1.8", "2.2", "2.6", "3.1"]
    assert [row[3] for row in family] == ["224", "240", "260", "300", "380", "456", "528", "600"]
    for name, row in zip(names, family, strict=True):
        ours, theirs = (int(cell.replace(",", "")) for cell in row[7:9])
        assert ours == theirs == golden[name]
        assert float(row[9]) == pytest.approx(float(row[10]), rel=0.05)


def test_tradeoff(untrained, tmp_path, capsys):
    untrained.outcomes = lambda config: 0.9 + 0.05 * config.width + 0.001 * config.image_size
    points = tradeoff(Config(arch="lenet5"), tmp_path / "study", 1, [0.5, 1.0], [16, 32])
    assert [(p.width, p.size) for p in points] == [(0.5, 16), (0.5, 32), (1.0, 16), (1.0, 32)]
    assert points[3].cost.macs == 416520  # LeNet-5 with its full C3: tests/tfcnn/models/reference.json
    assert points[0].cost.macs < min(points[1].cost.macs, points[2].cost.macs)
    assert (tmp_path / "study" / "tradeoff.png").read_bytes().startswith(b"\x89PNG")
    assert ["1", "32", "61,706", "416,520", "98.20%", "98.20%"] in map(str.split, capsys.readouterr().out.splitlines())
    points = tradeoff(Config(arch="vgg11", width=0.1), tmp_path / "vgg", 1, [0.1], None)
    assert [p.size for p in points] == [32]  # MobileNet's shares of 32 pixels are below the least of VGG


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "0"], "--seeds must be a whole number at least 1, got '0'"),
        (["--step", "x"], "--step must be a number above 0 and at most 1, got 'x'"),
        (["--tolerance", "nan"], "--tolerance must be a number above 0"),
        (["--tradeoff", "--widths", "0.5", "-1"], "--widths must be a number above 0 and at most 16, got '-1'"),
        (["--tradeoff", "--sizes", "8"], "images of 8x8 are too small for mobilenet: it needs 16 pixels"),
        (["--tradeoff", "--width", "0.5"], "--tradeoff takes several: give --widths"),
        (["--tradeoff", "--image-size", "32"], "--tradeoff takes several: give --sizes"),
        (["--widths", "0.5"], "are of --tradeoff"),
        (["--arch", "unet"], "unet is for segmentation"),
        (["--arch", "mobilenit"], "did you mean mobilenet"),
    ],
)
def test_bad_flags(flags, message, monkeypatch):
    monkeypatch.setattr("sys.argv", ["scale", *flags])
    with pytest.raises(BadInput) as caught:
        scale.main()
    assert message in str(caught.value)


def test_help_needs_no_tensorflow():
    code = (
        "import sys; from tuning import scale; sys.argv = ['scale', '--help']\n"
        "try: scale.main()\nexcept SystemExit: assert not {'tensorflow', 'keras', 'numpy', 'optuna'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--tradeoff" in done.stdout
