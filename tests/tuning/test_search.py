import re

import keras_tuner

from tfcnn.run_directory import RunDirectory
from tuning import spaces


def test_a_study_is_searched_and_continued(tmp_path, run_command):
    flags = ("--arch", "lenet5", "--epochs", "1", "--study", tmp_path / "study")
    done = run_command("tuning.search", *flags, "--trials", "1")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split("configuration\n")[1].splitlines()) == 1

    done = run_command("tuning.search", *flags, "--trials", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run directory") == 1  # one trial was left to do
    table = done.stdout.split("configuration\n")[1].splitlines()
    assert len(table) == 2
    shares = [float(line.split("%")[0]) for line in table]
    assert shares == sorted(shares, reverse=True)
    best = RunDirectory(table[0].split()[-1])
    assert table[0].split()[0] == f"{best.read_metrics()['val_accuracy']:.2%}"
    values = dict(re.findall(r"(\w+) ([\d.e-]+)", table[0].split("%")[2]))
    assert best.read_config()["config"]["width"] == float(values["width"])


def test_the_default_space_samples_fields_of_the_configuration():
    from tfcnn.config import Config

    Config(**spaces.default(keras_tuner.HyperParameters()))
