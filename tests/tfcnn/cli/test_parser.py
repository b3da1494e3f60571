"""What a user sees of every command: its help, one line for bad input, exit codes."""

import errno
import os
import subprocess
import sys

import pytest

from tfcnn import train
from tfcnn.__main__ import COMMANDS
from tfcnn.cli.parser import parse_count, run_main
from tfcnn.cli.signals import Terminated
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
    ("--lr -0.1", "--lr must be auto or a number above 0 and at most 100, got '-0.1'"),
    ("--lr=nan", "--lr must be auto or a number above 0 and at most 100, got 'nan'"),
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
# TensorFlow is needed to notice these; they are refused before anything is written, too.
BAD_LATER = [
    ("--arch-args widht=2", "unknown argument of mobilenet 'widht'; did you mean width"),
    ("--arch-args stem=cifer", "unknown stem 'cifer'; did you mean cifar? (--arch-args)"),
    ("--arch vgg11 --arch-args dropout=7", "vgg11 cannot be built"),
    ("--arch lenet5 --arch-args width=nan", "lenet5 cannot be built"),
    ("--batch-size 5000", "data set 'digits' has 1257 training examples, fewer than a batch of 5000 (--batch-size)"),
    ("--dataset mnist", "data set 'mnist' is not in "),
]


@pytest.fixture
def folder(tmp_path):
    """A folder with a run directory that exists and a file where a folder should be."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "note").write_text("mine")
    (tmp_path / "a_file").write_text("mine")
    return tmp_path


@pytest.fixture(scope="module")
def no_tensorflow(tmp_path_factory):
    """A PYTHONPATH on which TensorFlow cannot be imported, so that a command that waits for it (5 s) fails."""
    folder = tmp_path_factory.mktemp("no_tensorflow")
    (folder / "tensorflow.py").write_text("raise RuntimeError('TensorFlow was imported')")
    return f"{folder}{os.pathsep}{os.getcwd()}"


def files(folder):
    return sorted(folder.rglob("*"))


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "message"), BAD)
def test_bad_input_is_answered_in_one_line_without_tensorflow(flags, message, folder, run_command, no_tensorflow):
    before = files(folder)
    process = run_command("tfcnn.train", *flags.split(), cwd=folder, PYTHONPATH=no_tensorflow)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith("error: ")
    assert message in process.stderr
    assert process.stderr.count("\n") == 1
    assert files(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "message"), BAD_LATER)
def test_bad_input_that_tensorflow_is_needed_to_notice(flags, message, folder, monkeypatch, capsys):
    before = files(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["train", *flags.split()])
    assert run_main(train.main) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert message in output.err
    assert output.err.count("\n") == 1
    assert files(folder) == before


@pytest.mark.slow
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
def test_bad_input_to_the_other_commands(module, arguments, message, folder, run_command):
    before = files(folder)
    process = run_command(module, *arguments, cwd=folder)
    assert (process.returncode, process.stdout) == (2, "")
    assert message in process.stderr
    assert process.stderr.count("\n") == 1
    assert files(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("module", list(COMMANDS))
def test_help(module, run_command, no_tensorflow):
    process = run_command(module, "--help", PYTHONPATH=no_tensorflow)
    assert process.returncode == 0
    assert process.stdout.startswith(f"usage: python -m {module}")


@pytest.mark.slow
def test_the_list_of_commands(run_command):
    process = run_command("tfcnn")
    assert process.returncode == 0
    assert all(f"python -m {name}" in process.stdout for name in COMMANDS)
    assert "mobilenet" in process.stdout


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "ten", ""])
def test_a_count_is_a_whole_number_from_1_up(text):
    with pytest.raises(BadInput, match=f"--top must be a whole number at least 1, got '{text}'"):
        parse_count("--top", text)


def test_a_defect_keeps_its_traceback():
    def raise_defect():
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError):
        run_main(raise_defect)


@pytest.mark.parametrize(
    ("error", "code"), [(BadInput("two\nlines"), 2), (KeyboardInterrupt(), 130), (Terminated(), 143)]
)
def test_exit_codes(error, code, capsys):
    def fail():
        raise error

    assert run_main(fail) == code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "a file or the output cannot be written: No space left on "),
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "'a/b' cannot be written: No space left on device"),
        (RuntimeError("events.v2; Disk quota exceeded"), "a file or the output cannot be written: Disk quota exceeded"),
    ],
)
def test_a_full_disk_is_one_line(error, words, capsys):
    def fail():
        raise error

    assert run_main(fail) == 3
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {words}")
    assert errors.endswith("; make room, then run the same command again\n")
    assert errors.count("\n") == 1


@pytest.mark.slow
def test_output_to_a_file_on_a_full_disk(tmp_path):
    script = f"ulimit -f 0; {sys.executable} -m tfcnn > {tmp_path}/output"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr == (
        "error: a file or the output cannot be written: File too large; make room, then run the same command again\n"
    )


@pytest.mark.slow
def test_closed_output_is_no_error():
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m tfcnn >&-"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_closed_pipe_is_no_error():
    script = f"{sys.executable} -m tfcnn | head -1; exit ${{PIPESTATUS[0]}}"
    process = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
