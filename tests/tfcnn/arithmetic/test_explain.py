import itertools

import pytest
from PIL import Image

from tfcnn.arithmetic.explain import explain
from tfcnn.arithmetic.sizes import conv_output_size
from tfcnn.arithmetic.walk import walk_of


def pixels_of(walk, output):
    return [pixel for place in walk.window(output) if (pixel := walk.pixel(place)) is not None]


def test_a_convolution_sees_its_window():
    for size, kernel, stride, padding, dilation in itertools.product((4, 7), (1, 3), (1, 2), (0, 1, 2), (1, 2)):
        if size + 2 * padding < dilation * (kernel - 1) + 1:
            continue
        walk = walk_of(size, kernel, stride, padding, dilation)
        assert walk.output == conv_output_size(size, kernel, stride, padding, dilation)
        for output in range(walk.output):
            places = [output * stride - padding + dilation * tap for tap in range(kernel)]
            assert pixels_of(walk, output) == [place for place in places if 0 <= place < size]


def test_a_transposed_convolution_sees_the_pixels_that_its_convolution_sends_there():
    for size, kernel, stride, padding, dilation in itertools.product((1, 4), (1, 3, 4), (1, 2, 3), (0, 1, 2), (1, 2)):
        extra = stride - 1
        if stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * padding + extra < 1:
            continue
        walk = walk_of(size, kernel, stride, padding, dilation, transposed=True, output_padding=extra)
        for output in range(walk.output):
            taps = [dilation * tap for tap in range(kernel)]
            assert pixels_of(walk, output) == [i for i in range(size) if output - (i * stride - padding) in taps]
        assert walk.window(walk.output - 1)[-1] < walk.length


def test_the_text_of_a_transposed_convolution():
    assert explain(3, 3, 2, 1, transposed=True, output_padding=1) == (
        "transposed convolution, kernel 3, stride 2, padding 1, dilation 1, output padding 1: 3 -> 6\n"
        "\n"
        "output size  stride (input - 1) + kernel - before - after + output padding\n"
        "             = 2 * 2 + 3 - 1 - 1 + 1 = 6\n"
        "equals       the direct convolution with stride 1 and the kernel flipped,\n"
        "             on 3 pixels, 1 zero inserted between neighbours (5 places), with a border of 1 + 2\n"
        "\n"
        "what the first and the last output see (p: padding, z: inserted zero)\n"
        "  output 0  [p][0][z] 1  z  2  p  p   input 0\n"
        "  output 5   p  0  z  1  z [2][p][p]  input 2"
    )


def test_formulas_hold_the_numbers():
    text = explain(8, 3, stride=2, padding="same", dilation=2)
    assert "padding same (1 + 2)" in text
    assert "= 3 + 2 * 1 = 5" in text
    assert "= floor((8 + 1 + 2 - 5) / 2) + 1 = 4" in text
    assert "left over" not in text
    assert "left over    1 place at the end" in explain(6, 3, stride=2, padding=1)


def test_long_rows_are_cut():
    text = explain(10**9, 11, stride=4)
    assert "..." in text
    assert "inputs 0, 1, 2, ..., 10" in text
    assert all(len(line) < 200 for line in text.split("\n"))


@pytest.mark.slow
def test_the_command_prints_and_draws(run_command, tmp_path):
    path = tmp_path / "windows.png"
    result = run_command(
        "tfcnn.arithmetic", "--input", 5, "--kernel", 3, "--stride", 2, "--padding", 1, "--figure", path
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == explain(5, 3, 2, 1) + "\n"
    with Image.open(path) as image:
        assert min(image.size) > 400
        assert len(image.convert("RGB").getcolors(1 << 24)) > 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input", 3, "--kernel", 5), "a kernel that covers 5 does not fit an input of 3 + 0 + 0"),
        (("--input", 0, "--kernel", 5), "size must be 1 or more, got 0"),
        (("--input", 3, "--kernel", 3, "--padding", "sane"), "'valid', 'same' or 'full', got 'sane'"),
        (("--input", "x", "--kernel", 5), "--input"),
        (("--kernel", 5), "--input"),
        (("--input", 9, "--kernal", 5, "--kernel", 3), "did you mean --kernel?"),
        (("--input", 9, "--kernel", 3, "--output-padding", 1), "belongs to a transposed convolution"),
        (("--input", 9, "--kernel", 3, "--transposed", "--output-padding", 4), "from 0 to max"),
        (("--input", 900, "--kernel", 3, "--figure", "x.png"), "lower --input"),
        (("--input", 9, "--kernel", 3, "--figure", "no/such/folder/x.png"), "--figure no/such/folder/x.png"),
        (("--input", 9, "--kernel", 3, "--figure", "x.txt"), "--figure x.txt"),
    ],
)
def test_impossible_combinations_are_one_line(run_command, tmp_path, arguments, message):
    result = run_command("tfcnn.arithmetic", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not list(tmp_path.iterdir())
