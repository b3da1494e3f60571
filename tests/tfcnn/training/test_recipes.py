"""Recipes and the flags that they fill in."""

import subprocess
import sys

import pytest

from tfcnn import list_archs
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.models.registry import FAMILIES, TASKS, family_of
from tfcnn.training import recipes


def test_the_default_recipe_of_images_classes_is_the_defaults():
    assert recipes.resolve({}) == Config()
    assert recipes.resolve({"arch": "vgg11", "epochs": "3"}) == Config(arch="vgg11", epochs=3)
    images = [name for name in list_archs(task="classification") if family_of(name).axes == 2]
    assert not any(recipes.values("default", name) for name in images)


@pytest.mark.parametrize("arch", [name for name in list_archs() if family_of(name).task != "classification"])
def test_other_tasks_train_longer_than_classification(arch):
    config = recipes.resolve({"arch": arch})
    assert config.epochs / config.batch_size > Config().epochs / Config().batch_size


def test_each_argument_of_the_builder_replaces_that_of_the_recipe():
    recipe = {"batch_norm": True, "dropout": 0.0}
    assert recipes.resolve({"arch": "unet"}).arch_args == recipe
    config = recipes.resolve({"arch": "unet", "arch_args": {"levels": 3}, "epochs": 2, "loss": "focal"})
    assert (config.arch_args, config.epochs, config.loss) == (recipe | {"levels": 3}, 2, "focal")
    config = recipes.resolve({"arch": "unet", "arch_args": {"batch_norm": False}})
    assert config.arch_args == recipe | {"batch_norm": False}


def test_class_weights_leave_the_loss_of_areas_out():
    assert recipes.resolve({"arch": "unet"}).loss == "dice_ce"
    assert recipes.resolve({"arch": "unet", "class_weights": "balanced"}).loss is None


def test_the_paper_recipe_has_the_papers_network():
    assert recipes.resolve({"arch": "fcn8s", "recipe": "paper"}).arch_args == {}


def test_flags_precede_the_recipe():
    config = recipes.resolve({"recipe": "fast", "width": "0.25"})
    assert (config.recipe, config.width, config.epochs) == ("fast", 0.25, recipes.FAST["epochs"])
    assert config.epochs < Config().epochs


def test_resolving_twice_changes_nothing():
    """config.json holds the values, so that a run stays the same when its recipe changes."""
    config = recipes.resolve({"arch": "resnet20", "recipe": "paper", "epochs": 2})
    assert Config(**config.to_dict()) == recipes.resolve(config.to_dict()) == config


@pytest.mark.parametrize(
    ("arch", "published"),
    [
        ("alexnet_2012", {"lr": 0.01, "l2": 5e-4, "batch_size": 128, "opt": "momentum", "weight_decay": 0}),
        ("vgg16", {"lr": 0.01, "l2": 5e-4, "batch_size": 256, "sched": "plateau"}),
        ("resnet50", {"lr": 0.1, "l2": 1e-4, "batch_size": 256, "warmup_epochs": 0}),
        ("resnet56", {"lr": 0.1, "l2": 1e-4, "batch_size": 128, "epochs": 164, "sched": "step", "smoothing": 0}),
        ("resnet110", {"lr": 0.1, "warmup_epochs": 1}),
        ("densenet40", {"batch_size": 64, "epochs": 300, "opt": "sgd"}),
        ("mobilenet", {"opt": "rmsprop", "smoothing": 0}),
        ("segnet", {"lr": 0.1, "sched": "constant", "batch_size": 12}),
    ],
)
def test_published_numbers(arch, published):
    config = recipes.resolve({"arch": arch, "recipe": "paper"})
    assert {name: getattr(config, name) for name in published} == published


def test_every_row_of_the_table_is_of_an_architecture_and_of_fields():
    names = {family.module for family in FAMILIES} | set(list_archs())
    assert set(recipes.PAPER) <= names
    assert set(recipes.DEFAULT) <= names | TASKS
    for row in (recipes.FAST, *recipes.PAPER.values(), *recipes.DEFAULT.values()):
        Config(**row)


def test_every_architecture_has_the_default_and_the_fast_one():
    for arch in list_archs():
        for recipe in ("default", "fast"):
            config = recipes.resolve({"arch": arch, "recipe": recipe})
            assert (config.arch, config.recipe) == (arch, recipe)
            registry.arguments(arch, **config.overrides)


def test_an_architecture_without_a_published_recipe():
    with pytest.raises(BadInput, match=r"no published recipe of unet here; .* vgg11, .*dilated_vgg16 \(--recipe\)$"):
        recipes.resolve({"arch": "unet", "recipe": "paper"})


@pytest.mark.parametrize(
    ("flags", "filled"),
    [
        ({}, {"epochs": 4, "warmup_epochs": 0.5}),
        ({"lr": 0.1}, {"epochs": 4, "warmup_epochs": 0.5, "lr": 0.1}),
        ({"warmup_epochs": 0.5}, {"epochs": 4, "warmup_epochs": 0.5}),
        ({"warmup_epochs": 0}, {"epochs": 4, "warmup_epochs": 0}),
        ({"epochs": 2}, {"epochs": 2}),
        ({"epochs": 2, "warmup_epochs": 0}, {"epochs": 2, "warmup_epochs": 0}),
        ({"recipe": "default"}, {"recipe": "default"}),
        ({"recipe": "fast", "warmup_epochs": 0}, {"recipe": "fast", "warmup_epochs": 0}),
    ],
)
def test_the_flags_of_a_trial(flags, filled):
    assert recipes.quick(flags) == filled


def test_quick_changes_neither_the_flags_nor_its_table():
    flags = {"warmup_epochs": 1}
    recipes.quick(flags)["epochs"] = 9
    recipes.quick({})["epochs"] = 9
    assert flags == {"warmup_epochs": 1}
    assert recipes.QUICK["epochs"] == 4


def test_unknown_names():
    with pytest.raises(BadInput, match="--recipe must be one of default, fast, paper, got 'slow'"):
        recipes.resolve({"recipe": "slow"})
    for recipe in ("default", "fast", "paper"):
        with pytest.raises(BadInput, match="unknown architecture 'resnt20'; did you mean resnet20"):
            recipes.resolve({"recipe": recipe, "arch": "resnt20"})


@pytest.mark.parametrize("recipe", [{}, {"recipe": "fast"}])
def test_loaded_weights_are_fine_tuned(recipe):
    config = recipes.resolve({"arch": "resnet18", "weights": "imagenet", **recipe})
    assert recipes.fine_tunes(config)
    assert config.layer_decay == recipes.FINE_TUNING["layer_decay"]
    assert recipes.head_epochs(config) == recipes.HEAD_SHARE * config.epochs


def test_flags_precede_the_recipe_of_fine_tuning():
    config = recipes.resolve({"weights": "imagenet", "layer_decay": "0.9", "head_epochs": "2", "lr": "0.3"})
    assert (config.layer_decay, recipes.head_epochs(config), config.lr) == (0.9, 2, 0.3)


@pytest.mark.parametrize(
    "flags",
    [
        {"arch": "vgg11"},
        {"arch": "vgg11", "weights": "imagenet", "recipe": "paper"},
        {"arch": "vgg11", "weights": "imagenet", "freeze": "backbone"},
    ],
)
def test_runs_that_are_not_fine_tuned(flags):
    """Fresh weights, a published recipe, and a head that is fresh or nearly so and learns alone."""
    config = recipes.resolve(flags)
    assert not recipes.fine_tunes(config)
    assert (config.layer_decay, recipes.head_epochs(config)) == (None, 0)


def test_a_run_of_before_is_not_fine_tuned():
    """config.json of a run from loaded weights that was started before there was a recipe for them."""
    fields = Config(weights="imagenet").to_dict()
    del fields["layer_decay"], fields["head_epochs"]
    assert not recipes.fine_tunes(Config(**fields))


@pytest.mark.parametrize(
    ("fields", "layer_decay"),
    [
        ({"weights": "imagenet"}, recipes.FINE_TUNING["layer_decay"]),
        ({"weights": "imagenet", "layer_decay": 0.9}, 0.9),
        ({"weights": "imagenet", "resume": True, "out": "run-of-before"}, None),
        ({"weights": "imagenet", "recipe": "paper"}, None),
        ({}, None),
    ],
)
def test_a_configuration_that_was_not_resolved_is_completed(fields, layer_decay):
    completed = recipes.complete(Config(arch="vgg11", **fields))
    assert completed == Config(arch="vgg11", **fields | {"layer_decay": layer_decay})
    assert recipes.fine_tunes(completed) == (layer_decay is not None)


@pytest.mark.slow
def test_needs_no_tensorflow():
    code = (
        "import sys; from tfcnn.training import recipes; recipes.resolve({'recipe': 'paper', 'arch': 'resnet20'});"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
