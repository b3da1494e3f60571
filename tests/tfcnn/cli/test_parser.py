"""What a user sees of every command: one line for bad input, exit codes, quiet imports, speed of an answer."""

import os
import signal
import subprocess
import sys

import pytest

from tfcnn import train
from tfcnn.__main__ import COMMANDS
from tfcnn.cli.parser import run_main
from tfcnn.cli.signals import DeferredSignals, Terminated
from tfcnn.config import Config
from tfcnn.errors import BadInput

BAD = [
    ("--arch mobilnet", "unknown architecture 'mobilnet'; did you mean mobilenet or "),
    ("--arch vgg15", "did you mean vgg1"),
    ("--dataset digitz", "unknown data set 'digitz'; did you mean digits? (--dataset)"),
    ("--dataset emnist/leters", "data set 'emnist' has no configuration 'leters'; did you mean letters?"),
    ("--image-size 8", "images of 8x8 are too small for mobilenet: it needs 16 pixels a side (--image-size)"),
    ("--epochs ten", "--epochs must be a whole number at least 1, got 'ten'"),
    ("--epochs", "argument --epochs: expected one argument (see --help)"),
    ("--epoch 3", "unknown argument '--epoch'; did you mean --epochs?"),
    ("--lr -0.1", "--lr must be a number above 0 and at most 100, got '-0.1'"),
    ("--lr=nan", "--lr must be a number above 0 and at most 100, got 'nan'"),
    ("--precision float8", "must be one of auto, float32, mixed_float16, mixed_bfloat16, got 'float8'"),
    ("--batch-size 0", "--batch-size must be a whole number at least 1, got '0'"),
    ("--seed 1.5", "--seed must be a whole number at least 0 and at most 2147483647, got '1.5'"),
    ("--arch-args stem", "--arch-args takes key=value pairs, got 'stem'"),
    ("--warmup-epochs 20", "--warmup-epochs 20 is more than --epochs 12: lower one or raise the other"),
    ("--out taken", "'taken' exists already; give another --out, or --resume to continue the run in it"),
    ("--out a_file/run", "/a_file' is not a writable folder (--out)"),
    ("--resume", "--resume needs the run directory to continue: --out DIR"),
    ("--resume --out nowhere", "'nowhere' is not a run directory: it has no config.json"),
    ("mobilenet", "unknown argument 'mobilenet' (see --help)"),
]
# These need TensorFlow to be known, and are refused before anything is written all the same.
BAD_LATER = [
    ("--arch-args widht=2", "unknown argument of mobilenet 'widht'; did you mean width"),
    ("--arch-args stem=cifer", "unknown stem 'cifer'; did you mean cifar? (--arch-args)"),
    ("--arch vgg11 --arch-args dropout=7", "vgg11 cannot be built"),
    ("--batch-size 5000", "data set 'digits' has 1257 training examples, fewer than a batch of 5000 (--batch-size)"),
    ("--dataset mnist", "data set 'mnist' is not in "),
]


@pytest.fixture
def folder(tmp_path):
    """A folder with a run directory that is taken and a file where a folder should be."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "note").write_text("mine")
    (tmp_path / "a_file").write_text("mine")
    return tmp_path


@pytest.fixture(scope="module")
def no_tensorflow(tmp_path_factory):
    """A PYTHONPATH on which importing TensorFlow fails: a command that waits for it (5 s) is seen at once."""
    folder = tmp_path_factory.mktemp("no_tensorflow")
    (folder / "tensorflow.py").write_text("raise RuntimeError('TensorFlow was imported')")
    return f"{folder}{os.pathsep}{os.getcwd()}"


def files(folder):
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize(("flags", "message"), BAD)
def test_bad_input_is_answered_in_one_line_without_tensorflow(flags, message, folder, run_command, no_tensorflow):
    before = files(folder)
    done = run_command("tfcnn.train", *flags.split(), cwd=folder, PYTHONPATH=no_tensorflow)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert files(folder) == before


@pytest.mark.parametrize(("flags", "message"), BAD_LATER)
def test_bad_input_that_needs_tensorflow_to_be_seen(flags, message, folder, monkeypatch, capsys):
    before = files(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["train", *flags.split()])
    assert run_main(train.main) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert files(folder) == before


def test_an_error_is_the_only_line_after_tensorflows_import(folder, run_command):
    flags, message = BAD_LATER[0]
    done = run_command("tfcnn.train", *flags.split(), cwd=folder)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


def test_a_folder_that_cannot_be_written_to(folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may write anywhere
    with pytest.raises(BadInput, match="is not a writable folder"):
        train.run(Config(out=str(folder / "locked" / "run")))
    assert not (folder / "locked").exists()


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("tfcnn.evaluate", ["nowhere"], "'nowhere' is not a run directory"),
        ("tfcnn.evaluate", ["taken", "--split", "tset"], "unknown split 'tset'; did you mean test"),
        ("tfcnn.evaluate", [], "the following arguments are required: RUN"),
        ("tfcnn.predict", ["taken", "x.png"], "'taken' is not a run directory"),
        ("tfcnn.predict", ["taken", "x.png", "--top", "0"], "--top must be a whole number at least 1, got '0'"),
        ("tfcnn.export", ["taken", "--format", "caffe"], "unknown format 'caffe'; choose from savedmodel"),
        ("tfcnn.describe", ["--arch", "resnet51"], "unknown architecture 'resnet51'; did you mean resnet"),
        ("tfcnn.describe", ["--channels", "x"], "--channels must be a whole number at least 1, got 'x'"),
        ("tfcnn.describe", ["--image-size", "9"], "it needs 16 pixels a side"),
        ("tuning.search", ["--trials", "none"], "--trials must be a whole number at least 1, got 'none'"),
        ("tuning.search", ["--arch", "lenet"], "did you mean lenet5"),
    ],
)
def test_the_other_commands(module, arguments, message, folder, run_command):
    before = files(folder)
    done = run_command(module, *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert files(folder) == before


@pytest.mark.parametrize("module", list(COMMANDS))
def test_help(module, run_command, no_tensorflow):
    done = run_command(module, "--help", PYTHONPATH=no_tensorflow)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m {module}")


def test_the_list_of_commands(run_command):
    done = run_command("tfcnn")
    assert done.returncode == 0
    assert all(f"python -m {name}" in done.stdout for name in COMMANDS)
    assert "mobilenet" in done.stdout


def test_a_defect_keeps_its_traceback():
    def broken():
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError):
        run_main(broken)


@pytest.mark.parametrize(
    ("error", "code"), [(BadInput("two\nlines"), 2), (KeyboardInterrupt(), 130), (Terminated(), 143)]
)
def test_exit_codes(error, code, capsys):
    def fail():
        raise error

    assert run_main(fail) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_closed_pipe_is_no_error(run_command):
    script = f"{sys.executable} -m tfcnn | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_backend_is_named(run_command):
    done = run_command("tfcnn.describe", KERAS_BACKEND="jax")
    assert done.returncode == 2
    assert "KERAS_BACKEND is 'jax': unset it" in done.stderr


def test_a_failing_import_shows_what_it_said(tmp_path, run_command):
    (tmp_path / "keras.py").write_text("import sys; print('a library is missing', file=sys.stderr); raise OSError('x')")
    done = subprocess.run(
        [sys.executable, "-c", "from tfcnn.cli.startup import import_tensorflow; import_tensorflow()"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.getcwd()}"},
    )
    assert done.returncode == 1
    assert "a library is missing" in done.stderr


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_waits_and_a_second_one_does_not(number, kind):
    def handlers():
        return [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def within():
        with DeferredSignals() as signals:
            signals.deliver()
            signal.raise_signal(number)
            assert type(signals.pending) is kind
            assert handlers() == [signal.SIG_DFL] * 2  # the kernel ends the process at the next one

    before = handlers()
    with pytest.raises(kind) as caught:
        within()
    assert type(caught.value) is kind
    assert handlers() == before
