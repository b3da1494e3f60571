"""Synthesised tones. At 200 Hz for one second, line n of the spectrum is n Hz."""

import functools
import math

import numpy as np
import pytest
from scipy import signal

from pipelines.embedded import tones
from tests.pipelines.embedded.difficulties import difficulty, score


def spectrum(kind, depth=0.5, pitch=200):
    wave = tones.tone(np.random.default_rng(1), kind, pitch, depth)
    return abs(np.fft.rfft(wave)) / len(wave) * 2


@pytest.mark.parametrize(
    ("kind", "amplitude"),
    [
        ("sine", lambda n: float(n == 1)),
        ("square", lambda n: n % 2 / n),
        ("sawtooth", lambda n: 1 / n),
        ("triangle", lambda n: n % 2 / n**2),
    ],
)
def test_overtones_are_those_of_the_fourier_series_and_nothing_else_sounds(kind, amplitude):
    lines = spectrum(kind)
    np.testing.assert_allclose(lines[200:4000:200], [amplitude(n) for n in range(1, 20)], atol=1e-9)
    lines[200:4000:200] = 0
    assert lines.max() < 1e-9


def test_waves_have_their_shape():
    """The square wave keeps to two levels, the triangle's slope too, the sawtooth falls (Gibbs' overshoots aside)."""
    rng = np.random.default_rng(0)
    square, triangle, sawtooth = (tones.tone(rng, kind, 50, 0.5) for kind in ("square", "triangle", "sawtooth"))
    assert np.mean(abs(abs(square) - math.pi / 4) < 0.08) > 0.9
    slope = np.diff(triangle) * tones.RATE / 50
    assert np.mean(abs(abs(slope) - math.pi**2 / 2) < 0.6) > 0.9
    assert np.mean(np.diff(sawtooth) < 0) > 0.6
    assert np.diff(sawtooth).max() > 1.5 > -3 * np.diff(sawtooth).min()


def instantaneous(kind, depth, pitch=400):
    """(amplitude, frequency in Hz) of a tone at 0.1 ... 0.9 s, by its analytic signal."""
    analytic = signal.hilbert(tones.tone(np.random.default_rng(2), kind, pitch, depth))
    frequency = np.diff(np.unwrap(np.angle(analytic))) * tones.RATE / (2 * math.pi)
    return abs(analytic)[800:7200], frequency[800:7200]


def test_chirps_move_as_many_octaves_as_said_and_are_each_others_reverse():
    for kind, sign in (("rising", 1), ("falling", -1)):
        amplitude, frequency = instantaneous(kind, 0.6)
        assert amplitude == pytest.approx(1, abs=0.05)
        octaves = np.log2(frequency[-1] / frequency[0])
        assert octaves == pytest.approx(sign * 2 * 0.6 * 0.8, abs=0.05)
        assert np.median(frequency) == pytest.approx(400, rel=0.02)
    np.testing.assert_allclose(spectrum("rising"), spectrum("falling"), atol=0.02)


def test_tremolo_swings_in_amplitude_and_vibrato_in_pitch():
    amplitude, frequency = instantaneous("tremolo", 0.5)
    assert (amplitude.min(), amplitude.max()) == pytest.approx((0.5, 1.5), abs=0.02)
    assert frequency == pytest.approx(400, rel=0.01)
    amplitude, frequency = instantaneous("vibrato", 0.5)
    assert amplitude == pytest.approx(1, abs=0.02)
    semitones = 12 * np.log2(frequency / 400)
    assert (semitones.min(), semitones.max()) == pytest.approx((-1.5, 1.5), abs=0.05)
    swings = abs(np.fft.rfft(semitones * np.hanning(len(semitones)), 80_000)).argmax() / 10
    assert 4 <= swings <= 9


def test_a_plucked_tone_dies_away_high_overtones_first():
    wave = tones.tone(np.random.default_rng(3), "plucked", 200, 0.5)
    early, late = (abs(np.fft.rfft(wave[start : start + 800]))[20:401:20] for start in (0, 4000))
    decay = np.log(early / late) / 0.5
    np.testing.assert_allclose(decay[:3], [3, 6, 9], rtol=0.05)


def test_noise_is_a_band_around_the_pitch():
    waves = [tones.tone(np.random.default_rng(seed), "noise", 1000, 0.8) for seed in range(10)]
    power = (abs(np.fft.rfft(np.hanning(8000) * waves)) ** 2).mean(0)
    hertz = np.arange(len(power))
    centre = (power * hertz).sum() / power.sum()
    assert centre == pytest.approx(1000, abs=10)
    # the amplitude's Gaussian of 80 Hz is one of 80 / sqrt(2) in power
    assert math.sqrt((power * (hertz - centre) ** 2).sum() / power.sum()) == pytest.approx(80 / math.sqrt(2), rel=0.15)


def test_recordings_have_the_loudness_and_the_noise_they_are_said_to_have():
    ten = difficulty(tones.DIFFICULTIES, "easy", pitch=(200, 200), signal_to_noise=(10, 10), loudness=(-20, -20))
    for number in range(5):
        wave = tones.recording(ten, 0, 0, number)
        assert wave.dtype == np.int16
        assert abs(wave).max() == round(32767 * 0.1)
        power = abs(np.fft.rfft(wave)) ** 2
        ratio = power[200] / (power.sum() - power[200])
        assert 10 * math.log10(ratio) == pytest.approx(10, abs=0.4)
    loud = {abs(tones.recording(tones.DIFFICULTIES[0], 0, 0, number)).max() for number in range(30)}
    assert 32767 * 10 ** (-1 / 20) + 1 > max(loud) > 4 * min(loud) > 4 * 3276


@pytest.mark.slow
def test_tones_are_ordered_by_difficulty():
    def loudest_lines(wave):
        lines = np.sort(abs(np.fft.rfft(wave * np.hanning(8000) / wave.std())))[::-1]
        return np.log(lines[:400].reshape(-1, 4).mean(1))

    easy, hard = (
        score(functools.partial(tones.recording, difficulty(tones.DIFFICULTIES, n)), loudest_lines, 10, 200, 100)
        for n in ("easy", "hard")
    )
    assert easy > 0.7 > 0.65 > hard > 0.1
