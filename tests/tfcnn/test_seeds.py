"""--seeds and --name. A stand-in takes the place of the processes that train."""

import subprocess
import sys

import pytest

from tfcnn import seeds
from tfcnn.cli.parser import Parser
from tfcnn.config import Config
from tfcnn.files import write_json
from tfcnn.flags import add_flags
from tfcnn.run_directory import RunDirectory

ACCURACIES = {0: 0.5, 1: 0.75, 2: 1.0}


def write_run(path, config, finished=True):
    """A run directory as training leaves it."""
    run = RunDirectory(path)
    cost = {"parameters": 1000, "macs": 2000}
    write_json(run.config, {"config": config, "cost": cost, "data": {"task": "classification"}})
    if finished:
        accuracy = ACCURACIES[config["seed"]]
        run.write_history([{"epoch": 1, "val_loss": 0.5, "val_accuracy": accuracy, "loss": 0.5, "accuracy": accuracy}])
        run.curves.touch()
        run.model.touch()
        run.saved_model.mkdir()
        results = {"val_accuracy": accuracy, "test_accuracy": accuracy / 2, "best_epoch": 1}
        write_json(run.metrics, results | cost | {"images_per_second": 50.0, "seconds": 7.25})
    return run


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """In an empty folder, the words of the processes that were started; each writes its run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(RunDirectory, "faults", lambda run: [])
    commands = []

    class Process:
        def __init__(self, command, **options):
            assert command[:3] == [sys.executable, "-m", "tfcnn.train"]
            commands.append(command[3:])

        def wait(self):
            words = commands[-1]
            if "--resume" in words:
                run = RunDirectory.open(words[-1].removeprefix("--out="))
                config = run.read_config()["config"]
            else:
                parser = Parser(prog="test")
                add_flags(parser)
                config = Config(**vars(parser.parse_args(words))).to_dict()
                run = RunDirectory(config["out"])
            if config["lr"] == 7.0 and config["seed"] == 1:
                write_run(run.path, dict(config), finished=False)
                return 3
            write_run(run.path, dict(config))
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    return commands


LINE = ("--arch", "lenet5", "--epochs", "1", "--warmup-epochs", "0")
WORDS = ["--arch=lenet5", "--epochs=1", "--warmup-epochs=0"]


def test_a_run_of_each_seed_and_their_mean(commands, call_command):
    process = call_command("tfcnn.train", *LINE, "--name", "a", "--seeds", "0", "2")
    assert (process.returncode, process.stderr) == (0, "")
    assert commands == [[*WORDS, f"--seed={seed}", f"--out=runs/a-seed{seed}"] for seed in (0, 2)]
    # Mean 0.75, deviations -0.25 and 0.25: the square root of (0.0625 + 0.0625) / 1.
    assert process.stdout.splitlines()[-1].split("  ")[-1].strip() == "37.50% ± 17.68%"
    assert "75.00% ± 35.36%" in process.stdout


def test_the_same_command_continues(commands, call_command, tmp_path):
    config = Config(arch="lenet5", epochs=1, warmup_epochs=0).to_dict()
    write_run(tmp_path / "runs" / "a-seed0", config)
    write_run(tmp_path / "runs" / "a-seed1", config | {"seed": 1}, finished=False)
    process = call_command("tfcnn.train", *LINE, "--out", "runs/a", "--seeds", "0", "1", "2")
    assert (process.returncode, process.stderr) == (0, "")
    assert commands == [["--resume", "--out=runs/a-seed1"], [*WORDS, "--seed=2", "--out=runs/a-seed2"]]
    assert "seed 0: finished before, in runs/a-seed0" in process.stdout


def test_a_run_with_the_rate_of_a_range_test_continues(commands, call_command, tmp_path):
    write_run(tmp_path / "runs" / "a-seed0", Config(arch="lenet5", epochs=1, warmup_epochs=0, lr=0.01).to_dict())
    process = call_command("tfcnn.train", *LINE, "--lr", "auto", "--out", "runs/a", "--seeds", "0", "1")
    assert (process.returncode, process.stderr) == (0, "")
    assert commands == [[*WORDS, "--lr=auto", "--seed=1", "--out=runs/a-seed1"]]


def test_runs_of_other_flags_are_not_continued(commands, call_command, tmp_path):
    write_run(tmp_path / "runs" / "a-seed1", Config(arch="lenet5", epochs=2, seed=1).to_dict())
    process = call_command("tfcnn.train", *LINE, "--name", "a", "--seeds", "0", "1")
    assert (process.returncode, commands) == (2, [])
    assert "the run in 'runs/a-seed1' was started with --epochs 2, not 1; give another --out or" in process.stderr


def test_a_directory_that_is_taken_is_refused_before_any_training(commands, call_command, tmp_path):
    (tmp_path / "runs" / "a-seed1" / "mine").mkdir(parents=True)
    process = call_command("tfcnn.train", *LINE, "--name", "a", "--seeds", "0", "1")
    assert (process.returncode, commands) == (2, [])
    assert "'runs/a-seed1' exists already" in process.stderr


def test_a_run_that_fails_ends_the_command_with_its_code(commands, call_command):
    with pytest.raises(SystemExit) as end:
        call_command("tfcnn.train", *LINE, "--lr", "7", "--name", "a", "--seeds", "0", "1", "2")
    assert end.value.code == 3
    assert len(commands) == 2


def test_without_a_name_the_command_that_continues_is_told(commands, call_command, capsys):
    with pytest.raises(SystemExit):
        call_command("tfcnn.train", *LINE, "--lr", "7", "--seeds", "0", "1")
    path = commands[0][-1].removeprefix("--out=").removesuffix("-seed0")
    assert capsys.readouterr().out.endswith(f"the same command with --out {path} continues\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--seeds 3", "--seeds takes the seeds of several runs, as 0 1 2; for one run take --seed 3"),
        ("--seeds 1 1", "--seeds must be different numbers, got 1 1"),
        ("--seeds 0 x", "--seeds must be a whole number at least 0 and at most 2147483647, got 'x'"),
        ("--seeds 0 1 --seed 2", "leave --seed, --resume, --print-config, --dry-run and --verbose out"),
        ("--seeds 0 1 --verbose", "leave --seed, --resume, --print-config, --dry-run and --verbose out"),
        ("--seeds 0 1 --dry-run", "leave --seed, --resume, --print-config, --dry-run and --verbose out"),
        ("--seeds 0 1 --image-size 8", "images of 8x8 are too small for mobilenet"),
        ("--name a/b", "--name must be a name without slashes, of a folder in runs/, got 'a/b'"),
        ("--name ..", "--name must be a name"),
        ("--name a --out b", "leave --name or --out out"),
    ],
)
def test_bad_lines(line, message, commands, call_command, tmp_path):
    process = call_command("tfcnn.train", *line.split())
    assert (process.returncode, process.stdout, commands) == (2, "", [])
    assert message in process.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_run_that_exists_is_refused(call_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "a" / "mine").mkdir(parents=True)
    process = call_command("tfcnn.train", "--name", "a")
    assert process.returncode == 2
    assert process.stderr.startswith("error: 'runs/a' exists already; give another --out")


@pytest.mark.parametrize(
    "line",
    [
        "--arch-args stem=cifar dropout=0.5 sizes=(1,2) text='3' --tensorboard --lr -1",
        "--mean 0.1 0.2 0.3 --std 1 --pretrained",
    ],
)
def test_the_words_of_flags_are_those_flags(line):
    parser = Parser(prog="test")
    add_flags(parser)
    flags = vars(parser.parse_args(line.split()))
    assert vars(parser.parse_args(list(seeds.words_of(flags)))) == flags
