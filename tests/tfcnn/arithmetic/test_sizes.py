import itertools
import subprocess
import sys

import keras
import pytest

from tfcnn.arithmetic import sizes
from tfcnn.arithmetic.sizes import DirectConv, conv_output_size, padding_amounts, pool_output_size, transposed_conv

GRID = list(
    itertools.product(range(1, 8), range(1, 5), range(1, 4), (0, 1, (0, 2), "valid", "same", "full"), (1, 2, 3))
)


def windows(size, kernel, stride, padding, dilation):
    """The places of every window that fits the padded row, found by sliding one along."""
    before, after = padding_amounts(size, kernel, stride, padding, dilation)
    taps = [dilation * i for i in range(kernel)]
    starts = range(-before, size + after, stride)
    return [[s + t for t in taps] for s in starts if s + taps[-1] < size + after]


def test_conv_output_size_counts_the_windows():
    for case in GRID:
        expected = len(windows(*case))
        if expected:
            assert conv_output_size(*case) == expected, case
        else:
            with pytest.raises(ValueError, match="does not fit"):
                conv_output_size(*case)


def test_full_padding_lets_every_pixel_meet_every_tap():
    for size, kernel, dilation in itertools.product((1, 4), (1, 3), (1, 2, 3)):
        met = [place for window in windows(size, kernel, 1, "full", dilation) for place in window]
        assert all(met.count(pixel) == kernel for pixel in range(size))
        assert conv_output_size(size, kernel, padding="full", dilation=dilation) == size + dilation * (kernel - 1)


def test_same_and_valid_are_those_of_keras():
    for size, kernel, stride, dilation in itertools.product(range(3, 9), range(1, 4), range(1, 4), (1, 2)):
        if stride > 1 and dilation > 1:
            continue  # Keras refuses both together
        for padding in ("valid", "same"):
            if padding == "valid" and size < dilation * (kernel - 1) + 1:
                continue
            layer = keras.layers.Conv1D(1, kernel, stride, padding, dilation_rate=dilation)
            output = conv_output_size(size, kernel, stride, padding, dilation)
            assert output == layer.compute_output_shape((1, size, 1))[1]


@pytest.mark.parametrize("padding", [0, 1, (0, 1), "same"])
def test_pooling_in_ceil_mode_drops_no_pixel_and_adds_no_empty_window(padding):
    for size, kernel, stride, dilation in itertools.product(range(1, 12), range(2, 5), range(1, 5), (1, 2)):
        before, after = padding_amounts(size, kernel, stride, padding, dilation)
        covered = dilation * (kernel - 1) + 1
        if size + before + after < covered:
            continue
        floor, ceiling = (
            pool_output_size(size, kernel, stride, padding, dilation, ceil_mode=mode) for mode in (False, True)
        )
        assert floor == conv_output_size(size, kernel, stride, padding, dilation)
        starts = [n * stride - before for n in range(ceiling)]
        assert all(start < size for start in starts)
        next_start = ceiling * stride - before
        assert next_start >= size or starts[-1] + covered >= size + after
        assert ceiling - floor in (0, 1)


def test_pooling_windows_of_padding_alone_are_refused():
    with pytest.raises(ValueError, match="nothing but padding"):
        pool_output_size(5, 2, padding=2)


# i, k, s, p of the convolution; then the direct form of its transpose: i', zeros, stretched, border before and after.
FIGURES = {
    "4.1": ((4, 3, 1, 0), (2, 0, 2, 2, 2)),
    "4.2": ((5, 4, 1, 2), (6, 0, 6, 1, 1)),
    "4.3": ((5, 3, 1, 1), (5, 0, 5, 1, 1)),
    "4.4": ((5, 3, 1, 2), (7, 0, 7, 0, 0)),
    "4.5": ((5, 3, 2, 0), (2, 1, 3, 2, 2)),
    "4.6": ((5, 3, 2, 1), (3, 1, 5, 1, 1)),
    "4.7": ((6, 3, 2, 1), (3, 1, 5, 1, 2)),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_of_dumoulin_and_visin(figure):
    (size, kernel, stride, padding), printed = FIGURES[figure]
    output = conv_output_size(size, kernel, stride, padding)
    rest = (size + 2 * padding - kernel) % stride
    direct = transposed_conv(output, kernel, stride, padding, output_padding=rest)
    assert direct == DirectConv(*printed, kernel, 1, size)


def test_transposed_convolution_undoes_every_size():
    for size, kernel, stride, padding, dilation in GRID:
        if not windows(size, kernel, stride, padding, dilation):
            continue
        amounts = padding_amounts(size, kernel, stride, padding, dilation)
        output = conv_output_size(size, kernel, stride, amounts, dilation)
        rest = (size + sum(amounts) - dilation * (kernel - 1) - 1) % stride
        direct = transposed_conv(output, kernel, stride, amounts, dilation, rest)
        assert direct.output == size
        assert conv_output_size(direct.stretched + direct.before + direct.after, kernel, dilation=dilation) == size


def test_transposed_same_and_valid_are_those_of_keras():
    for size, kernel, stride in itertools.product(range(1, 6), range(1, 5), range(1, 5)):
        for padding in ("valid", "same"):
            layer = keras.layers.Conv1DTranspose(1, kernel, stride, padding)
            rest = max(stride - kernel, 0) if padding == "valid" else 0  # as the docstring has it
            output = sizes.transposed_conv_output_size(size, kernel, stride, padding, output_padding=rest)
            assert output == layer.compute_output_shape((1, size, 1))[1]


def test_padding_for_is_the_least():
    for size, kernel, stride, dilation in itertools.product(range(1, 9), range(1, 5), range(1, 4), (1, 2)):
        smallest = {}
        for total in range(40):
            if size + total >= dilation * (kernel - 1) + 1:
                smallest.setdefault(conv_output_size(size + total, kernel, stride, dilation=dilation), total)
        for output in range(1, 10):
            if output in smallest:
                before, after = sizes.padding_for(size, output, kernel, stride, dilation)
                assert before + after == smallest[output]
                assert after - before in (0, 1)
            else:
                with pytest.raises(ValueError, match="already larger"):
                    sizes.padding_for(size, output, kernel, stride, dilation)


@pytest.mark.parametrize(
    "layers",
    [
        [(3,), (3, 2, 1), (2, 2), (3, 1, 2, 2)],
        [(1,)],
        [(5, 3, 4), (1, 2), (3, 1, 0, 3)],
    ],
)
def test_receptive_field_is_what_the_outputs_see(layers):
    def inputs_of(depth, place):
        """Input places that a place of layer `depth`'s output depends on."""
        if depth == 0:
            return {place}
        layer = layers[depth - 1]
        kernel, stride, padding, dilation = layer + (1, 1, 0, 1)[len(layer) :]
        taps = [place * stride - padding + dilation * i for i in range(kernel)]
        return set().union(*(inputs_of(depth - 1, tap) for tap in taps))

    field = sizes.receptive_field(layers)
    for output in (0, 1, 7):
        places = inputs_of(len(layers), output)
        assert min(places) == output * field.stride - field.padding
        assert max(places) == min(places) + field.size - 1


def test_receptive_field_of_no_layer_is_the_pixel():
    assert sizes.receptive_field([]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_output_size(0, 3), "size must be 1 or more, got 0"),
        (lambda: conv_output_size(5, 3, stride=0), "stride must be 1 or more, got 0"),
        (lambda: conv_output_size(5, 3, padding=-1), "padding must be 0 or more, got -1"),
        (lambda: conv_output_size(5, 3, padding=(1, -1)), "padding must be 0 or more"),
        (lambda: conv_output_size(5, 3, padding="sane"), "'valid', 'same' or 'full', got 'sane'"),
        (lambda: conv_output_size(5, 3, dilation=3), "covers 7 does not fit an input of 5"),
        (lambda: transposed_conv(3, 3, 2, output_padding=2), "from 0 to max"),
        (lambda: transposed_conv(1, 3, padding=2), "leaves nothing"),
        (lambda: transposed_conv(3, 3, 2, "same", output_padding=1), "must be 0, got 1"),
        (lambda: sizes.receptive_field([(3, 1, -1)]), "padding must be 0 or more"),
        (lambda: sizes.receptive_field([(0,)]), "kernel must be 1 or more"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
def test_arithmetic_is_instant_and_needs_no_package():
    code = "import sys, tfcnn.arithmetic, tfcnn.arithmetic.costs, tfcnn.arithmetic.explain; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "numpy", "matplotlib"} & set(result.stdout.split())
