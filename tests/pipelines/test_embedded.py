"""The drawn data sets: what is stored, what is drawn, and whether it is what its label says."""

import dataclasses
import functools
import logging
import math
import zlib

import absl.logging
import numpy as np
import pytest
import tensorflow_datasets as tfds
from matplotlib.path import Path as Outline
from scipy import ndimage, signal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import pipelines
from pipelines.catalogue import check_name, prepare_builder
from pipelines.embedded import scenes, solids, tones

SMALL = {"train": 30, "validation": 10, "test": 20}
FIGURES = ["disc", "square", "triangle", "star", "ring", "cross"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """small(name): the builder of a data set of few examples, prepared once."""
    folder = str(tmp_path_factory.mktemp("small"))

    @functools.cache
    def prepared(name):
        with pytest.MonkeyPatch.context() as patch:
            for module in (scenes, tones, solids):
                patch.setattr(module, "SPLITS", SMALL)
            return prepare_builder(name, folder)

    return prepared


@pytest.fixture(scope="module")
def stored(small):
    """stored(name, split): the examples on the disk."""
    return functools.cache(lambda name, split: list(small(name).as_dataset(split=split).as_numpy_iterator()))


def config(difficulties, name, **changes):
    return dataclasses.replace(next(c for c in difficulties if c.name == name), **changes)


# What is stored


@pytest.mark.parametrize(
    ("name", "types"),
    [
        (
            "shapes",
            {
                "image": ((96, 96, 3), np.uint8),
                "segmentation_mask": ((96, 96, 1), np.uint8),
                "instance_mask": ((96, 96, 1), np.uint8),
            },
        ),
        ("boxes", {"image": ((96, 96, 3), np.uint8)}),
        ("tones", {"audio": ((8000,), np.int16), "label": ((), np.int64)}),
        ("solids", {"volume": ((32, 32, 32, 1), np.uint8), "label": ((), np.int64)}),
    ],
)
def test_facts(small, name, types):
    builder = small(name)
    assert builder.builder_config.name == "medium"
    assert set(builder.builder_configs) == {"easy", "medium", "hard"}
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == SMALL
    assert builder.info.dataset_size / 60 * 1500 < 35e6
    example = next(builder.as_dataset(split="validation").as_numpy_iterator())
    assert {key: (example[key].shape, example[key].dtype) for key in types} == types
    assert example.keys() - types.keys() <= {"objects"}


def test_class_names(small):
    features = {name: small(name).info.features for name in ("shapes", "boxes", "tones", "solids")}
    assert features["shapes"]["segmentation_mask"].names == ["background", *FIGURES]
    assert features["boxes"]["objects"].feature["label"].names == FIGURES
    assert features["tones"]["label"].num_classes == 10
    assert features["solids"]["label"].num_classes == 8


@pytest.mark.parametrize(
    ("name", "sizes", "classes"),
    [
        ("shapes", {"train": 800, "validation": 100, "test": 200}, None),
        ("boxes", {"train": 800, "validation": 100, "test": 200}, None),
        ("tones", {"train": 1000, "validation": 200, "test": 300}, 10),
        ("solids", {"train": 800, "validation": 100, "test": 200}, 8),
    ],
)
def test_sizes_and_balance(monkeypatch, tmp_path, name, sizes, classes):
    """All that a builder generates, the drawing itself left out."""
    monkeypatch.setattr(scenes, "scene", lambda *_: scenes.Scene(*np.zeros((3, 96, 96), np.uint8), ()))
    monkeypatch.setattr(tones, "recording", lambda *_: np.zeros(8000, np.int16))
    monkeypatch.setattr(solids, "volume", lambda *_: np.zeros((32, 32, 32), np.uint8))
    check_name(f"{name}/easy")
    splits = tfds.builder(name, data_dir=tmp_path)._split_generators(None)
    examples = {split: list(generated) for split, generated in splits.items()}
    assert {split: len(found) for split, found in examples.items()} == sizes
    for found in examples.values():
        assert [key for key, _ in found] == list(range(len(found)))
        if classes:
            counts = np.bincount([example["label"] for _, example in found], minlength=classes)
            assert counts.max() - counts.min() <= 1


def test_figures_are_balanced():
    kinds = [figure.kind for number in range(150) for figure in scene_at(0, number).figures]
    np.testing.assert_allclose(np.bincount(kinds, minlength=6) / len(kinds), 1 / 6, atol=0.04)


def test_what_is_stored_is_what_a_second_drawing_gives(stored):
    for number in (0, 7, 9):
        scene = scenes.scene(scenes.DIFFICULTIES[0], 1, number)
        shape, box = stored("shapes", "validation")[number], stored("boxes", "validation")[number]
        np.testing.assert_array_equal(shape["image"], scene.image)
        np.testing.assert_array_equal(shape["segmentation_mask"][..., 0], scene.classes)
        np.testing.assert_array_equal(shape["instance_mask"][..., 0], scene.instances)
        np.testing.assert_array_equal(box["image"], scene.image)
        tone, solid = stored("tones", "validation")[number], stored("solids", "validation")[number]
        np.testing.assert_array_equal(tone["audio"], tones.recording(tones.DIFFICULTIES[0], tone["label"], 1, number))
        expected = solids.volume(solids.DIFFICULTIES[0], solid["label"], 1, number)
        np.testing.assert_array_equal(solid["volume"][..., 0], expected)


@pytest.mark.parametrize(("split", "number"), [(0, 1), (1, 0)])
def test_no_example_is_another(split, number):
    assert (scenes.scene(scenes.DIFFICULTIES[0], split, number).image != scene_at(0, 0).image).any()
    for draw, module in ((tones.recording, tones), (solids.volume, solids)):
        medium = module.DIFFICULTIES[0]
        assert (draw(medium, 0, split, number) != draw(medium, 0, 0, 0)).any()


def scene_at(split, number):
    return scenes.scene(scenes.DIFFICULTIES[0], split, number)


def test_boxes_bound_the_instances_of_the_same_scene_in_shapes(stored):
    for shape, box in zip(stored("shapes", "validation"), stored("boxes", "validation"), strict=True):
        np.testing.assert_array_equal(shape["image"], box["image"])
        instances, classes = shape["instance_mask"][..., 0], shape["segmentation_mask"][..., 0]
        assert set(np.unique(instances)) - {0} == set(range(1, len(box["objects"]["label"]) + 1))
        np.testing.assert_array_equal(instances == 0, classes == 0)
        for number, (bbox, label) in enumerate(zip(*map(box["objects"].get, ("bbox", "label")), strict=True), 1):
            ys, xs = np.nonzero(instances == number)
            np.testing.assert_allclose(bbox * 96, [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1], atol=1e-4)
            assert (classes[ys, xs] == label + 1).all()


def test_reading_is_quiet(small, monkeypatch):
    """TFDS would warn once a process of its own call; here it warns each time, if nothing stops it."""
    monkeypatch.setattr(absl.logging, "log_first_n", lambda level, text, n, *args: absl.logging.log(level, text, *args))
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logger = logging.getLogger("absl")
    logger.addHandler(handler)
    try:
        next(iter(small("solids").as_dataset(split="test")))
        absl.logging.warning("another")
    finally:
        logger.removeHandler(handler)
    assert heard == ["another"]


# Names


@pytest.mark.parametrize("name", ["shapes", "shapes/hard", "boxes/easy", "tones/medium", "solids/easy"])
def test_names_with_and_without_a_difficulty(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shapes/hrad", r"data set 'shapes' has no configuration 'hrad'; did you mean hard\? \(--dataset\)"),
        ("tones/loud", r"has no configuration 'loud'; choose from medium, easy, hard \(--dataset\)"),
        ("digits/easy", r"has no configuration 'easy'; choose from none: it has no configurations"),
        ("solid", r"unknown data set 'solid'; did you mean solids"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(pipelines.BadData, match=message):
        check_name(name)


def test_a_difficulty_is_prepared_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr(solids, "SPLITS", {"train": 2, "validation": 1, "test": 1})
    builder = prepare_builder("solids/easy", str(tmp_path))
    assert (builder.name, builder.builder_config.name) == ("solids", "easy")
    volume = next(builder.as_dataset(split="train").as_numpy_iterator())["volume"][..., 0]
    np.testing.assert_array_equal(volume, solids.volume(config(solids.DIFFICULTIES, "easy"), 0, 0, 0))
    monkeypatch.setattr("pipelines.catalogue.is_online", lambda: False)
    with pytest.raises(pipelines.BadData, match=r"digits, shapes, boxes, tones, solids \(embedded\) \(--dataset, "):
        prepare_builder("mnist", str(tmp_path))


# Figures, against outlines from their corners


def corners(kind):
    """The corners of a figure of radius 1 about the origin, counted from the direction of its first side."""
    if kind == "square":
        return [(s, t) for s, t in ((1, 1), (-1, 1), (-1, -1), (1, -1))], math.sqrt(0.5)
    if kind == "cross":
        arm, end = 0.3, math.sqrt(1 - 0.09)
        quarter = [(end, -arm), (end, arm), (arm, arm)]
        turns = [(1, 0), (0, 1), (-1, 0), (0, -1)]
        return [(x * c - y * s, x * s + y * c) for c, s in turns for x, y in quarter], 1
    if kind == "triangle":
        return [(math.cos(a), math.sin(a)) for a in (math.pi / 3, math.pi, -math.pi / 3)], 1
    inner = math.cos(2 * math.pi / 5) / math.cos(math.pi / 5)
    tips = [(1 if k % 2 == 0 else inner, k * math.pi / 5) for k in range(10)]
    return [(r * math.cos(a), r * math.sin(a)) for r, a in tips], 1


def covers(figure, y, x):
    """Which points of the image a figure covers."""
    kind = scenes.FIGURES[figure.kind]
    y, x = np.broadcast_arrays(y, x)
    if kind in ("disc", "ring"):
        distance = np.hypot(y - figure.y, x - figure.x) / figure.radius
        return (distance <= 1) & (distance >= (math.sqrt(0.3) if kind == "ring" else 0))
    points, scale = corners(kind)
    cos, sin = (scale * figure.radius * f(figure.angle) for f in (math.cos, math.sin))
    outline = Outline([(figure.x + cos * u - sin * v, figure.y + sin * u + cos * v) for u, v in points])
    return outline.contains_points(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)


AREAS = {
    "disc": math.pi,
    "square": 2,
    "triangle": 3 * math.sqrt(3) / 4,
    "star": 5 * math.sin(math.pi / 5) * math.cos(2 * math.pi / 5) / math.cos(math.pi / 5),
    "ring": 0.7 * math.pi,
    "cross": 2 * 0.6 * 2 * math.sqrt(0.91) - 0.6**2,
}
CENTRES = np.arange(96) + 0.5


@pytest.mark.parametrize("kind", range(6), ids=scenes.FIGURES)
def test_figures_have_their_area(kind):
    grid = (np.arange(-500, 500) + 0.5) / 500
    area = scenes.inside(kind, grid, grid[:, None]).mean() * 4
    assert area == pytest.approx(AREAS[scenes.FIGURES[kind]], rel=4e-3)


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_masks_are_the_figures_painted_one_over_another(difficulty):
    difficulty = config(scenes.DIFFICULTIES, difficulty)
    kinds = set()
    for number in range(25):
        scene = scenes.scene(difficulty, 0, number)
        painted, areas = np.zeros((96, 96), int), []
        for place, figure in enumerate(scene.figures, 1):
            covered = covers(figure, CENTRES[:, None], CENTRES)
            painted[covered] = place
            areas.append(covered.sum())
            kinds.add(figure.kind)
            assert difficulty.radius[0] <= figure.radius <= difficulty.radius[1]
        assert (painted != scene.instances).sum() <= 2  # centres within rounding of an edge
        assert 1 <= len(scene.figures) <= difficulty.figures[1]
        visible = np.bincount(scene.instances.ravel(), minlength=len(areas) + 1)[1:]
        assert (visible + 1 >= (1 - difficulty.occlusion) * np.array(areas)).all()
        np.testing.assert_array_equal(
            scene.classes, np.array([0, *(f.kind + 1 for f in scene.figures)])[scene.instances]
        )
    assert kinds == set(range(6))


def test_the_picture_shows_what_the_mask_says():
    """Without pattern and noise each pixel's colour tells how much of it the figure covers."""
    plain = config(scenes.DIFFICULTIES, "easy", figures=(1, 1), texture=0, noise=0)
    for number in range(12):
        scene = scenes.scene(plain, 0, number)
        (figure,) = scene.figures
        image = scene.image.astype(float)
        ground, colour = image[0, 0], np.median(image[scene.instances == 1], axis=0)
        assert 119 <= np.linalg.norm(colour - ground) <= 201
        coverage = (image - ground) @ (colour - ground) / ((colour - ground) @ (colour - ground))
        np.testing.assert_allclose(image, ground + coverage[..., None] * (colour - ground), atol=1.5)
        area = AREAS[scenes.FIGURES[figure.kind]] * figure.radius**2
        assert coverage.sum() == pytest.approx(area, rel=0.015)
        fine = (np.arange(96 * 8) + 0.5) / 8
        share = covers(figure, fine[:, None], fine).reshape(96, 8, 96, 8).mean((1, 3))
        np.testing.assert_allclose(coverage, share, atol=0.17)
        assert 0.1 < coverage[(share > 0) & (share < 1)].mean() < 0.9  # edges are smooth


def test_texture_and_noise_are_as_strong_as_said():
    quiet = config(scenes.DIFFICULTIES, "easy", texture=30, noise=0)
    noisy = dataclasses.replace(quiet, noise=10)
    for number in range(8):
        clean, loud = (scenes.scene(c, 0, number) for c in (quiet, noisy))
        ground = clean.image[~ndimage.binary_dilation(clean.instances, iterations=2)].astype(float)
        assert 20 < np.linalg.norm(ground - ground.mean(0), axis=1).max() < 62
        difference = loud.image.astype(float) - clean.image
        between = (clean.image > 40) & (clean.image < 215)  # not clipped
        assert difference[between].std() == pytest.approx(10, rel=0.05)


def figure_pixels(image):
    """What stands out from the median colour, by Otsu's threshold."""
    distance = ndimage.gaussian_filter(np.linalg.norm(image - np.median(image, axis=(0, 1)), axis=-1), 1)
    counts, edges = np.histogram(distance, 64)
    below, total = np.cumsum(counts)[:-1], counts.sum()
    sums = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    between = (sums[-1] * below - sums[:-1] * total) ** 2 / (below * (total - below))
    return distance > edges[1 + between.argmax()]


def test_scenes_are_ordered_by_difficulty():
    overlaps = {}
    for difficulty in scenes.DIFFICULTIES:
        drawn = [scenes.scene(difficulty, 2, number) for number in range(30)]
        found = np.array([figure_pixels(scene.image) for scene in drawn])
        true = np.array([scene.instances > 0 for scene in drawn])
        overlaps[difficulty.name] = (found & true).sum() / (found | true).sum()
    assert overlaps["easy"] > 0.9 > overlaps["hard"] + 0.15
    assert overlaps["easy"] > overlaps["medium"] > overlaps["hard"]


# Tones: at 200 Hz for one second, line n of the spectrum is n Hz


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
    ten = config(tones.DIFFICULTIES, "easy", pitch=(200, 200), signal_to_noise=(10, 10), loudness=(-20, -20))
    for number in range(5):
        wave = tones.recording(ten, 0, 0, number)
        assert wave.dtype == np.int16
        assert abs(wave).max() == round(32767 * 0.1)
        power = abs(np.fft.rfft(wave)) ** 2
        ratio = power[200] / (power.sum() - power[200])
        assert 10 * math.log10(ratio) == pytest.approx(10, abs=0.4)
    loud = {abs(tones.recording(tones.DIFFICULTIES[0], 0, 0, number)).max() for number in range(30)}
    assert 32767 * 10 ** (-1 / 20) + 1 > max(loud) > 4 * min(loud) > 4 * 3276


def score(draw, features, classes, train, test):
    """Share of right answers of a support vector machine on simple features."""
    (inputs, labels), (unseen, answers) = (
        (np.stack([features(draw(i % classes, split, i)) for i in range(count)]), np.arange(count) % classes)
        for split, count in ((0, train), (2, test))
    )
    model = make_pipeline(StandardScaler(), SVC()).fit(inputs, labels)
    return model.score(unseen, answers)


def test_tones_are_ordered_by_difficulty():
    def loudest_lines(wave):
        lines = np.sort(abs(np.fft.rfft(wave * np.hanning(8000) / wave.std())))[::-1]
        return np.log(lines[:400].reshape(-1, 4).mean(1))

    easy, hard = (
        score(functools.partial(tones.recording, config(tones.DIFFICULTIES, n)), loudest_lines, 10, 200, 100)
        for n in ("easy", "hard")
    )
    assert easy > 0.7 > 0.65 > hard > 0.1


# Solids


VOLUMES = {
    "ball": 4 / 3 * math.pi,
    "cube": (2 / math.sqrt(3)) ** 3,
    "cylinder": math.pi * 0.6**2 * 1.6,
    "cone": math.pi * 0.75 * 1.5 / 3,
    "torus": 2 * math.pi**2 * 0.68 * 0.32**2,
    "pyramid": 2 * 0.75 * 1.5 / 3,
    "tetrahedron": 8 * math.sqrt(3) / 27,
    "cross": 3 * 2 * math.sqrt(7 / 8) * 0.5**2 - 2 * 0.5**3,
}
WHOLE = config(solids.DIFFICULTIES, "easy", radius=(14, 14), tilt=180)


@pytest.mark.parametrize("label", range(8), ids=solids.CLASSES)
def test_solids_have_their_volume_and_lie_within_their_radius(label):
    for number in range(4):
        volume = solids.volume(WHOLE, label, 0, number)
        assert (volume.shape, volume.dtype) == ((32, 32, 32), np.uint8)
        assert set(np.unique(volume)) == {0, 255}
        assert (volume > 0).sum() == pytest.approx(VOLUMES[solids.CLASSES[label]] * 14**3, rel=0.03)
        points = np.argwhere(volume) + 0.5
        spread = np.linalg.norm(points[:, None] - points[None, ::40], axis=-1).max()
        assert spread <= 2 * 14


def test_a_torus_has_a_hole_and_a_cylinder_has_none():
    """Euler's number of the solid: corners - edges + faces - voxels is 0 for a torus and 1 for a cylinder."""
    for kind, expected in (("torus", 0), ("cylinder", 1)):
        volume = solids.volume(WHOLE, solids.CLASSES.index(kind), 0, 5) > 0
        cells = np.zeros((65, 65, 65), bool)
        for offset in np.ndindex(3, 3, 3):
            z, y, x = offset
            cells[z : z + 64 : 2, y : y + 64 : 2, x : x + 64 : 2] |= volume
        sign = (-1) ** np.indices(cells.shape).sum(0)
        assert (cells * sign).sum() == expected


def test_tilt_bounds_the_direction_and_180_degrees_reach_all_of_them():
    def tilts(limit):
        upright = config(solids.DIFFICULTIES, "easy", tilt=limit)
        for number in range(30):
            points = np.argwhere(solids.volume(upright, solids.CLASSES.index("cone"), 0, number))
            values, vectors = np.linalg.eigh(np.cov(points.T))
            centred = points - points.mean(0)
            # a cone's axis is the direction whose variance differs from the two others', its apex on the longer side
            axis = vectors[:, 0] if values[1] - values[0] > values[2] - values[1] else vectors[:, 2]
            along = centred @ axis
            up = axis * np.sign((along**3).sum())
            yield math.degrees(math.acos(up[0]))

    slight, any_direction = list(tilts(25)), list(tilts(180))
    assert max(slight) < 28
    assert max(slight) > 15
    assert min(any_direction) < 50 < 130 < max(any_direction)


def test_carving_and_noise_are_as_strong_as_said():
    flipped = dataclasses.replace(WHOLE, flipped=0.02)
    bitten = dataclasses.replace(WHOLE, bites=6)
    rough = dataclasses.replace(WHOLE, roughness=2)
    smaller = 0
    for number in range(8):
        whole, noisy, less, uneven = (solids.volume(c, number, 0, number) > 0 for c in (WHOLE, flipped, bitten, rough))
        assert (whole != noisy).mean() == pytest.approx(0.02, rel=0.1)
        smaller += (whole & ~less).any()
        assert not (less & ~whole).any()
        depth = ndimage.distance_transform_edt(whole) + ndimage.distance_transform_edt(~whole)
        assert (whole != uneven).any()
        assert depth[whole != uneven].max() <= 2 * 2 + 1
    assert smaller >= 5


def test_solids_are_ordered_by_difficulty():
    def moments(volume):
        points = np.argwhere(volume) - np.argwhere(volume).mean(0)
        distances = np.quantile(np.linalg.norm(points, axis=1), np.linspace(0, 1, 21))
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
        return np.concatenate([distances, spread]) / len(points) ** (1 / 3)

    easy, hard = (
        score(functools.partial(solids.volume, config(solids.DIFFICULTIES, n)), moments, 8, 160, 80)
        for n in ("easy", "hard")
    )
    assert easy > 0.9
    assert 0.25 < hard < easy - 0.1


# The same bytes on every machine


def test_the_bytes_are_those_of_every_other_machine():
    """Pinned: a change of these numbers is a change of the data, which needs a new VERSION."""
    scene = scene_at(0, 0)
    drawn = (
        scene.image,
        scene.instances,
        tones.recording(tones.DIFFICULTIES[0], 8, 0, 8),
        solids.volume(solids.DIFFICULTIES[0], 4, 0, 4),
    )
    sums = [zlib.crc32(array.tobytes()) for array in drawn]
    assert sums == [1984004224, 2589128961, 1287072327, 693087180]


def test_a_data_set_that_another_process_made_meanwhile(tmp_path, monkeypatch):
    """Both prepare it; that of the slower one cannot be moved to where the other's is."""
    real = tfds.core.DatasetBuilder.download_and_prepare

    def slower(self, *args, **kwargs):
        monkeypatch.undo()
        real(tfds.builder(self.name, data_dir=tmp_path), *args, **kwargs)
        raise FileExistsError(f"Cannot rename. Destination {self.data_path} already exists.")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", slower)
    assert prepare_builder("digits", str(tmp_path)).info.splits["train"].num_examples == 1257
