"""The spaces: each key is a field or an argument, every corner can be built."""

import dataclasses
import inspect
import textwrap

import keras_tuner
import pytest

from tfcnn import factory
from tfcnn.config import Config
from tfcnn.cost import weightless
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tuning import spaces

INPUTS = {1: (16_000, 1), 2: (64, 64, 3), 3: (32, 32, 32, 1)}  # by their axes


class Corner(keras_tuner.HyperParameters):
    """Takes the first or the last value of every hyperparameter."""

    def __init__(self, last):
        super().__init__()
        self.last = last

    def _register(self, hyperparameter, overwrite=False):
        if self.is_active(hyperparameter) and hyperparameter.name not in self.values:
            ends = (
                [hyperparameter.min_value, hyperparameter.max_value]
                if hasattr(hyperparameter, "min_value")
                else list(hyperparameter.values)
            )
            self.values[hyperparameter.name] = ends[-1 if self.last else 0]
        return super()._register(hyperparameter)


@pytest.mark.parametrize("arch", registry.list_archs())
def test_every_key_is_a_field_or_an_argument_of_the_builder(arch):
    parameters = set(inspect.signature(registry.builder_of(arch)).parameters)
    for last in (False, True):
        hp = Corner(last)
        fields = spaces.fields_of(spaces.of(arch, (16, 32))(hp))
        config = Config(arch=arch, **fields)
        assert set(config.overrides) <= parameters
        assert {"lr", "weight_decay", "opt", "width", "image_size"} <= set(fields)
        assert ("adamw_lr" in hp.values) == (config.opt == "adamw") != ("sgd_lr" in hp.values)


def test_with_loaded_weights_the_network_stays_and_rates_are_low():
    """They fit no other width, and the rates for fresh weights destroy them."""
    for last in (False, True):
        fields = spaces.fields_of(spaces.of_loaded("resnet18")(Corner(last)))
        assert (fields.keys() & {"width", "depth", "image_size"}, fields["arch_args"]) == (set(), {})
        fresh = spaces.fields_of(spaces.of("resnet18")(Corner(last)))
        assert fields["lr"] == pytest.approx(0.1 * fresh["lr"])


# One network a family, the smallest there is.
@pytest.mark.parametrize("family", registry.FAMILIES, ids=lambda family: family.module)
def test_both_corners_can_be_built(family):
    arch = {"resnet": "resnet20", "densenet": "densenet40"}.get(family.module, family.names[0])
    parameters = []
    for last in (False, True):
        config = Config(arch=arch, **spaces.fields_of(spaces.of(arch)(Corner(last))))
        with weightless():
            model = factory.build(arch, INPUTS[family.axes], 10, **config.overrides)
        parameters.append(model.count_params())
    assert parameters[0] < parameters[1]


def test_every_family_has_a_space():
    assert set(spaces.FAMILIES) == {family.module for family in registry.FAMILIES}


def test_what_is_no_field_goes_to_the_builder():
    fields = spaces.fields_of({"lr": 0.1, "filters": 32, "arch_args": {"units": 64}})
    assert fields == {"lr": 0.1, "arch_args": {"units": 64, "filters": 32}}


def test_a_space_that_returns_no_dict_is_refused():
    with pytest.raises(BadInput, match="a space returns a dict of values by name, got None"):
        spaces.fields_of(None)


def test_the_space_of_the_documentation(tmp_path):
    """The function in the module's docstring, as a file."""
    (tmp_path / "my_space.py").write_text(textwrap.dedent(spaces.__doc__.split("):\n\n", 1)[1]))
    space = spaces.load(f"{tmp_path / 'my_space.py'}:narrow")
    first = spaces.fields_of(space(Corner(False)))
    last = spaces.fields_of(space(Corner(True)))
    assert (first["opt"], first["lr"], first["width"]) == ("adamw", 1e-4, 0.25)
    assert (last["opt"], last["lr"], last["width"]) == ("sgd", 0.3, 0.5)
    assert dataclasses.replace(Config(), **last).lr == 0.3


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("def one(hp): pass", "x.py:two", "has no function 'two'; it has one"),
        ("1 / 0", "x.py:two", "cannot be run: ZeroDivisionError: division by zero"),
        ("", "y.py:two", "no file '.*y.py': give path/to/file.py:function"),
        ("", "x.py", "no file"),
    ],
)
def test_files_that_hold_no_space(tmp_path, content, place, message):
    (tmp_path / "x.py").write_text(content)
    with pytest.raises(BadInput, match=message + r".*\(--space\)"):
        spaces.load(f"{tmp_path}/{place}")
