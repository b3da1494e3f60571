import csv
import io

import pytest
from PIL import Image

from tfcnn import compare
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.files import write_json
from tfcnn.run_directory import RunDirectory

TABLE = """
run     arch_args          epochs done          best epoch   val accuracy   test accuracy   parameters        MACs   images/s   seconds
----------------------------------------------------------------------------------------------------------------------------------------
small   {'dropout': 0.5}   3                             2         75.00%          70.00%        1,000*     20,000*        40         7
large   {}                 2                             2         87.50%*         90.00%*     123,456   2,469,120      1,040*        7
cut     {}                 1 of 3, unfinished            1         25.00%               -        1,000*     20,000*         -         -
begun   {}                 0 of 3, unfinished            -              -               -        1,000*     20,000*         -         -
"""  # noqa: E501


@pytest.fixture
def make_run(tmp_path):
    """A function that writes a run directory as training does, unfinished where `test` is None."""

    def make(
        name, accuracies, test=None, task="classification", parameters=1000, speed=50.0, metric="accuracy", **flags
    ):
        run = RunDirectory(tmp_path / name)
        config = Config(**flags).to_dict() | {"out": str(run.path)}
        cost = {"parameters": parameters, "macs": 20 * parameters}
        write_json(run.config, {"config": config, "cost": cost, "data": {"task": task}})
        rows = [
            {"epoch": i + 1, "val_loss": 1 - a, f"val_{metric}": a, "loss": 1.0, metric: a, "learning_rate": 0.1}
            for i, a in enumerate(accuracies)
        ]
        if rows:
            run.write_history(rows)
        if test is not None:
            best = max(rows, key=lambda row: row[f"val_{metric}"])
            metrics = {f"val_{metric}": best[f"val_{metric}"], f"test_{metric}": test, "best_epoch": best["epoch"]}
            write_json(run.metrics, metrics | cost | {"images_per_second": speed, "seconds": 7.25})
        return run

    return make


def test_the_table_as_text(make_run):
    runs = [
        make_run("small", [0.5, 0.75, 0.7], test=0.7, speed=40.0, epochs=3, arch_args={"dropout": 0.5}),
        make_run("large", [0.5, 0.875], test=0.9, parameters=123456, speed=1040.0, epochs=3),
        make_run("cut", [0.25], epochs=3),
        make_run("begun", [], epochs=3),
    ]
    assert compare.as_text(compare.compare(runs)) == TABLE.strip()


def test_a_speed_that_was_not_measured_is_a_dash(make_run):
    comparison = compare.compare([make_run("a", [0.5], 0.5, speed=None), make_run("b", [0.5], 0.5)])
    column = [column.name for column in comparison.columns].index("images/s")
    assert [cells[column] for cells in comparison.cells("{}*", "{}")] == ["-", "50"]


def test_only_what_differs_is_a_column(make_run):
    runs = [make_run("a", [0.5], 0.5, opt="sgd", seed=1), make_run("b", [0.5], 0.5, opt="adam", seed=1)]
    comparison = compare.compare(runs)
    assert [column.name for column in comparison.columns[:3]] == ["run", "opt", "epochs done"]  # and not seed, not out
    assert [row[1] for row in comparison.rows] == ["sgd", "adam"]
    assert "*" not in compare.as_text(comparison)  # as good as each other


def test_runs_that_differ_in_the_seed_have_a_mean(make_run):
    """Sample standard deviations by hand: of 0.5, 0.75 and 1 0.25; of 0.25 and 0.75 the square root of 0.125."""
    runs = [
        *(make_run(f"a-seed{seed}", [test], test, seed=seed) for seed, test in enumerate((0.5, 0.75, 1.0))),
        make_run("a-seed3", [0.1], seed=3),  # unfinished
        *(make_run(f"b-seed{seed}", [test], test, seed=seed, opt="sgd") for seed, test in enumerate((0.25, 0.75))),
        make_run("c", [0.1], 0.1, opt="lion"),
    ]
    comparison = compare.compare_seeds(runs)
    assert [column.name for column in comparison.columns] == ["runs", "seeds", "opt", "val accuracy", "test accuracy"]
    assert comparison.rows == [
        ["a-seed*", "0 1 2", "adamw", "75.00% ± 25.00%", "75.00% ± 25.00%"],
        ["b-seed*", "0 1", "sgd", "50.00% ± 35.36%", "50.00% ± 35.36%"],
    ]


@pytest.mark.parametrize(("form", "tables"), [("text", 2), ("markdown", 2), ("csv", 1)])
def test_the_means_stand_below_the_runs(make_run, form, tables):
    runs = [make_run(name, [0.5], 0.5, seed=seed) for seed, name in enumerate("ab")]
    assert len(compare.with_seeds(compare.compare(runs), runs, form).split("\n\n")) == tables


def test_a_run_of_an_earlier_version_has_the_default_of_a_new_flag(make_run):
    runs = [make_run(name, [0.5], 0.5, seed=seed) for seed, name in enumerate("ab")]
    facts = runs[0].read_config()
    del facts["config"]["min_lr"]
    write_json(runs[0].config, facts)
    assert [row[1] for row in compare.compare_seeds(runs).rows] == ["0 1"]


@pytest.mark.parametrize(("range_test", "rows"), [(True, 1), (False, 0)])
def test_rates_of_a_range_test_differ_from_seed_to_seed(make_run, range_test, rows):
    runs = [make_run(name, [0.5], 0.5, seed=seed, lr=0.1 + seed) for seed, name in enumerate("ab")]
    for run in runs:
        write_json(run.config, run.read_config() | {"recipe": {"range_test": range_test}})
    assert len(compare.compare_seeds(runs).rows) == rows


def test_without_such_runs_there_is_no_mean(make_run):
    runs = [make_run("a", [0.5], 0.5, seed=0), make_run("b", [0.5], 0.5, seed=1, opt="sgd")]
    assert compare.with_seeds(compare.compare(runs), runs, "text") == compare.as_text(compare.compare(runs))


def test_flags_that_one_version_did_not_have_yet(make_run):
    old = make_run("old", [0.5], 0.5)
    new = make_run("new", [0.5], 0.5)
    facts = old.read_config()
    del facts["config"]["phi"]
    write_json(old.config, facts)
    comparison = compare.compare([old, new])
    assert [row[1] for row in comparison.rows] == [None, 0.0]
    assert " - " in compare.as_text(comparison).splitlines()[2]


@pytest.fixture
def comparison(make_run):
    return compare.compare([make_run("a", [0.5], 0.25), make_run("b", [0.75], 0.125), make_run("c", [])])


def test_the_table_as_markdown(comparison):
    markdown = compare.as_markdown(comparison).splitlines()
    assert markdown[2] == "| a | 1 | 1 | 50.00% | **25.00%** | 1,000 | 20,000 | 50 | 7 |"
    assert {line.count("|") for line in markdown} == {10}


def test_the_table_as_csv(comparison):
    rows = list(csv.DictReader(io.StringIO(compare.as_csv(comparison))))
    assert [row["val accuracy"] for row in rows] == ["0.5", "0.75", ""]
    assert rows[0]["seconds"] == "7.25"


def test_runs_of_one_name_are_told_apart(make_run):
    runs = [make_run(name, [0.5], 0.5) for name in ("x/run", "y/run", "z")]
    assert [row[0] for row in compare.compare(runs).rows] == [str(runs[0].path), str(runs[1].path), "z"]


def test_each_task_has_its_metric(make_run):
    run = make_run("r", [21.5], 22.0, task="reconstruction", metric="psnr", arch="conv_autoencoder")
    text = compare.as_text(compare.compare([run]))
    assert "test PSNR" in text
    assert "22.00 dB" in text


def test_runs_of_two_tasks_are_refused(make_run):
    runs = [make_run("a", [0.5]), make_run("b", [0.5], task="segmentation", metric="mean_iou")]
    with pytest.raises(BadInput, match=r"a' is for classification and the one in '.*b' for segmentation: give runs of"):
        compare.compare(runs)


def test_the_command(make_run, tmp_path, monkeypatch, capsys):
    for name in "ab":
        make_run(name, [0.5, 0.625], 0.5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["compare", "a", "b", "a", "--out", "deep/c.png"])
    compare.main()
    assert len(capsys.readouterr().out.splitlines()) == 4  # head, rule and two runs
    with Image.open("deep/c.png") as picture:
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "nowhere"], r"'nowhere' is not a run directory"),
        (["a", "--format", "html"], r"unknown format 'html'; choose from text, markdown, csv \(--format\)"),
        (["a", "--out", "c.jpg"], r"--out must be a \.png file, got 'c\.jpg'"),
        ([], r"the following arguments are required: RUN"),
    ],
)
def test_bad_input_is_one_line(arguments, message, make_run, tmp_path, monkeypatch):
    make_run("a", [0.5])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["compare", *arguments])
    with pytest.raises(BadInput, match=message):
        compare.main()


def test_metrics_that_are_a_folder_are_damaged_and_not_missing(make_run):
    run = make_run("a", [0.5])
    run.metrics.mkdir()
    with pytest.raises(BadInput, match=r"metrics\.json' is not readable JSON: Is a directory"):
        compare.compare([run])


def test_what_is_no_run_is_passed_over_and_named(make_run, call_command, tmp_path):
    """As `runs/*` has it."""
    runs = [make_run("a", [0.5], 0.5), make_run("b", [0.5], 0.5)]
    (tmp_path / "studies").mkdir()
    (tmp_path / "notes.txt").touch()
    others = (tmp_path / "notes.txt", tmp_path / "studies")
    process = call_command("tfcnn.compare", *(run.path for run in runs), *others)
    assert process.returncode == 0
    assert [line.split()[0] for line in process.stdout.splitlines()[2:]] == ["a", "b"]
    assert process.stderr == f"passed over, because they are no run directories: {others[0]}, {others[1]}\n"


def test_a_path_that_does_not_exist_is_refused(make_run, call_command, tmp_path):
    process = call_command("tfcnn.compare", make_run("a", [0.5], 0.5).path, tmp_path / "b")
    assert (process.returncode, process.stdout) == (2, "")


def test_no_run_at_all_is_refused(call_command, tmp_path):
    process = call_command("tfcnn.compare", tmp_path)
    assert (process.returncode, process.stdout) == (2, "")
    assert "is not a run directory" in process.stderr
