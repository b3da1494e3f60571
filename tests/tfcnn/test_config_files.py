"""--config, --print-config and --dry-run."""

import json

import pytest

from tfcnn import train
from tfcnn.config import Config
from tfcnn.config_files import describe_config, read_config
from tfcnn.errors import BadInput
from tfcnn.training import recipes


@pytest.fixture
def write(tmp_path):
    """A function that writes a file of flags and returns its path."""

    def write(text):
        path = tmp_path / "flags.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_flags_in_yaml(write):
    """By flag or by field; on and off are words, as on a command line."""
    path = write("arch: lenet5\nbatch-size: 8\nlr: 1e-3\njit: off\nmodel_ema: 0.9\narch_args: {form: paper}\n")
    config = recipes.resolve(read_config(path))
    assert (config.arch, config.batch_size, config.lr, config.jit) == ("lenet5", 8, 1e-3, "off")
    assert (config.model_ema, config.arch_args["form"]) == (0.9, "paper")


def test_names_of_timm_in_yaml(write):
    fields = read_config(write("model: lenet5\nimg-size: 48\n"))
    assert fields == {"arch": "lenet5", "image_size": 48}


def test_the_command_line_comes_first(write):
    path = write("arch: lenet5\nepochs: 2\narch_args: {form: paper, stem: cifar}\n")
    flags = train.join_flags(path, {"epochs": "5", "arch_args": {"stem": "imagenet"}})
    assert flags == {"arch": "lenet5", "epochs": "5", "arch_args": {"form": "paper", "stem": "imagenet"}}


def test_a_budget_replaces_epochs(write):
    assert train.join_flags(write("epochs: 2"), {"time": "1m"}) == {"time": "1m"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "^unknown flag 'epoch'; did you mean epochs .*flags.yaml"),
        ("epochs: 3\nepochs: 4", "'epochs' occurs twice"),
        ("arch: vgg11\nmodel: vgg13", "sets arch twice, by model too"),
        ("dropout: 0.2", "^unknown flag 'dropout': --drop RATE is that of the network"),
        ("resume: true", "sets resume"),
        ("[1", "is not YAML"),
        ("- 1", "must hold a mapping"),
        ("", "must hold a mapping"),
        ("epochs: !!python/object/apply:os.getpid []", "is not YAML"),
        ("x" * 1_000_001, "more than 1,000,000 bytes"),
    ],
)
def test_a_bad_file_is_refused(write, text, message):
    with pytest.raises(BadInput, match=message) as error:
        read_config(write(text))
    assert "\n" not in str(error.value)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"is a folder; of a run give its config\.json"):
        read_config(str(tmp_path))


def test_what_is_printed_is_read_again(write):
    config = recipes.resolve({"arch": "unet", "dataset": "shapes", "lr": "0.002", "seed": "3"})
    assert Config(**read_config(write(describe_config(config)))) == config


def test_a_runs_file_gives_its_flags_but_its_place(write):
    config = Config(arch="lenet5", epochs=7, time="1m", out="runs/first")
    fields = read_config(write(json.dumps({"config": config.to_dict(), "data": {"name": "digits"}})))
    assert Config(**fields) == Config(arch="lenet5", epochs=7)


@pytest.mark.slow
def test_a_dry_run_says_all_and_writes_nothing(call_command, tmp_path):
    process = call_command("tfcnn.train", "--arch", "lenet5", "--dry-run", "--out", tmp_path / "run")
    assert (process.returncode, process.stderr) == (0, "")
    assert [line.split()[0] for line in process.stdout.splitlines()][:3] == ["data", "network", "recipe"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["--dry-run", "--print-config"])
def test_a_resumed_run_takes_its_own_settings(call_command, flag):
    process = call_command("tfcnn.train", "--resume", "--out", "nowhere", flag)
    assert process.returncode == 2
    assert "leave --config, --print-config and --dry-run out" in process.stderr
