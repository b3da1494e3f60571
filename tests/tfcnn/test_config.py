import pytest

from tfcnn.cli.parser import Parser
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput
from tfcnn.flags import add_flags


def parse(*arguments):
    parser = Parser(prog="test")
    add_flags(parser)
    return vars(parser.parse_args(arguments))


def test_text_becomes_values():
    config = Config(**parse("--epochs", "3", "--lr", "1e-3", "--resume", "--out", "x"))
    assert (config.epochs, config.lr, config.resume) == (3, 0.001, True)


def test_arch_args_are_collected():
    flags = parse("--arch-args", "stem=imagenet", "dropout=0.5", "--arch-args", "form=paper")
    assert flags == {"arch_args": {"stem": "imagenet", "dropout": 0.5, "form": "paper"}}


@pytest.mark.parametrize(("arguments", "flags"), [([], {}), (["--seed", "4"], {"seed": "4"})])
def test_flags_left_out_leave_no_trace(arguments, flags):
    assert parse(*arguments) == flags


def test_every_field_is_a_flag_with_help():
    parser = Parser(prog="test")
    add_flags(parser)
    text = parser.format_help()
    for name in Config().to_dict():
        assert flag_of(name) in text


@pytest.mark.parametrize(
    ("value", "size", "sides"),
    [
        (224, 224, (224, 224)),
        ("224", 224, (224, 224)),
        ("96x160", "96x160", (96, 160)),
        ("96X160", "96x160", (96, 160)),
        ([96, 160], "96x160", (96, 160)),
        ("96x96", 96, (96, 96)),
        (None, None, None),
    ],
)
def test_images_have_one_side_or_two(value, size, sides):
    config = Config(image_size=value)
    assert (config.image_size, config.input_sides()) == (size, sides)


@pytest.mark.parametrize("value", ["96x", "x", "96x160x3", "0x9", "96x99999", "1.5x2", True, [], {}])
def test_a_size_of_another_form_is_refused(value):
    with pytest.raises(
        BadInput, match="--image-size must be a whole number, or HEIGHTxWIDTH, each at least 1 and at most"
    ):
        Config(image_size=value)


def test_sounds_and_volumes_take_one_number():
    assert Config(arch="voxnet", image_size=32).input_sides(3) == (32, 32, 32)
    with pytest.raises(BadInput, match="--image-size 96x160 is for images, and voxnet takes none: give one number"):
        Config(arch="voxnet", image_size="96x160").input_sides(3)


def test_round_trip():
    config = Config(arch="resnet18", lr=0.1, arch_args={"stem": "cifar"})
    assert Config(**config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "received", "allowed", "flag"),
    [
        ({"epochs": "ten"}, "'ten'", "a whole number at least 1", "--epochs"),
        ({"epochs": "0"}, "'0'", "at least 1", "--epochs"),
        ({"epochs": 2.5}, "'2.5'", "a whole number", "--epochs"),
        ({"epochs": True}, "'True'", "a whole number", "--epochs"),
        ({"epochs": None}, "'None'", "a whole number", "--epochs"),
        ({"lr": "-1"}, "'-1'", "above 0", "--lr"),
        ({"lr": "nan"}, "'nan'", "a number above 0 and at most 100", "--lr"),
        ({"lr": "inf"}, "'inf'", "at most 100", "--lr"),
        ({"lr": "best"}, "'best'", "auto or a number above 0", "--lr"),
        ({"lr": "auto", "distribution": "mirrored"}, "--lr auto", "give a number", "--distribution"),
        ({"smoothing": 1}, "'1'", "at most 0.99", "--smoothing"),
        ({"width": "0"}, "'0'", "above 0", "--width"),
        ({"hflip": 1.5}, "'1.5'", "at most 1", "--hflip"),
        ({"precision": "float61"}, "'float61'", "float32", "--precision"),
        ({"opt": "lamp"}, "'lamp'", "adamw", "--opt"),
        ({"sched": "cos"}, "'cos'", "cosine, step, constant", "--sched"),
        ({"recipe": "best"}, "'best'", "default, fast, paper", "--recipe"),
        ({"loss": "l1"}, "'l1'", "cross_entropy", "--loss"),
        ({"min_lr": 0.1, "sched": "step"}, "step", "cosine or plateau", "--min-lr"),
        ({"warmup_lr": -1}, "'-1'", "at least 0", "--warmup-lr"),
        ({"vflip": 2}, "'2'", "at most 1", "--vflip"),
        ({"scale": "0.5"}, "'0.5'", "two numbers LOW,HIGH above 0 and at most 1", "--scale"),
        ({"scale": "0,1"}, "'0,1'", "above 0", "--scale"),
        ({"scale": "0.8,0.2"}, "'0.8,0.2'", "LOW,HIGH", "--scale"),
        ({"ratio": "1,nan"}, "'1,nan'", "two numbers LOW,HIGH", "--ratio"),
        ({"scale": "0.2,1", "crop_margin": 0.1}, "--scale", "leave one", "--crop-margin"),
        ({"aa": "heavy"}, "'heavy'", "light, rand, shift, none, or as rand-m9-n2", "--aa"),
        ({"aa": "rand-m11"}, "rand-m11", "from m0 to m10", "--aa"),
        ({"aa": "rand-n3"}, "rand-n3", "from m0 to m10", "--aa"),
        ({"aa": "rand-m9-n5"}, "rand-m9-n5", "n1 to n4", "--aa"),
        ({"aa": "rand-m9-inc0"}, "rand-m9-inc0", "inc1", "--aa"),
        ({"aa": "rand-m9-mstd50"}, "rand-m9-mstd50", "mstd from 0 to 10", "--aa"),
        ({"aa": "rand-m9-w0"}, "'w0'", "m9, n2, mstd0.5 and inc1", "--aa"),
        ({"aa": "rand-"}, "''", "can follow", "--aa"),
        ({"l2": -1}, "'-1'", "at least 0", "--l2"),
        ({"max_norm": 0}, "'0'", "above 0", "--max-norm"),
        ({"clip_grad": "0"}, "'0'", "above 0", "--clip-grad"),
        ({"grad_accum_steps": 0}, "'0'", "at least 1", "--grad-accum-steps"),
        ({"model_ema": 1}, "'1'", "at most 0.999999", "--model-ema"),
        ({"drop_path": 1}, "'1'", "at most 0.99", "--drop-path"),
        ({"distribution": "mirrored", "grad_accum_steps": 2}, "2", "leave it out", "--grad-accum-steps"),
        ({"grad_checkpoint": True, "jit": "on"}, "--jit on", "leave one of them out", "--grad-checkpoint"),
        ({"grad_checkpoint": True, "distribution": "mirrored"}, "mirrored", "one device", "--grad-checkpoint"),
        ({"steps_per_execution": "0"}, "'0'", "auto or a whole number at least 1", "--steps-per-execution"),
        ({"steps_per_execution": "2.5"}, "'2.5'", "auto or a whole number", "--steps-per-execution"),
        ({"steps_per_execution": "4", "model_ema": 0.9}, "4", "leave one of the two out", "--model-ema"),
        ({"steps_per_execution": "4", "profile": "2-3"}, "4", "leave one of the two out", "--profile"),
        ({"arch": 3}, "'3'", "text", "--arch"),
        ({"tensorboard": "yes"}, "'yes'", "true or false", "--tensorboard"),
        ({"warmup_epochs": 9, "epochs": 3}, "9", "lower one", "--warmup-epochs"),
        ({"layer_decay": 0}, "'0'", "above 0", "--layer-decay"),
        ({"layer_decay": "1.5"}, "'1.5'", "at most 1", "--layer-decay"),
        ({"head_epochs": -1, "weights": "imagenet"}, "'-1'", "at least 0", "--head-epochs"),
        ({"head_epochs": 1}, "--head-epochs 1", "give --weights", "--weights"),
        ({"head_epochs": 3, "weights": "imagenet", "epochs": 3}, "3", "lower one", "--head-epochs"),
        ({"resume": True}, "--resume", "--out", "--resume"),
        ({"arch_args": {"input_shape": (8, 8, 1)}}, "input_shape", "--image-size", "--arch-args"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(values, received, allowed, flag):
    with pytest.raises(BadInput) as caught:
        Config(**values)
    message = str(caught.value)
    assert received in message
    assert allowed in message
    assert flag in message
    assert "\n" not in message


@pytest.mark.parametrize(("steps_per_execution", "steps"), [("auto", None), ("4", 4), ("1", 1)])
def test_steps_of_a_call(steps_per_execution, steps):
    assert Config(steps_per_execution=steps_per_execution).steps_per_call == steps


@pytest.mark.parametrize("flags", [{"model_ema": 0.9}, {"tensorboard": True}, {"profile": "2-3"}])
@pytest.mark.parametrize("steps_per_execution", ["auto", "1"])
def test_a_call_is_one_step_where_each_step_is_read(flags, steps_per_execution):
    assert Config(**flags, steps_per_execution=steps_per_execution).steps_per_call == 1


@pytest.mark.parametrize("argument", ["width", "=3", "two words=1"])
def test_bad_arch_args(argument):
    with pytest.raises(BadInput, match="key=value"):
        parse("--arch-args", argument)


def test_one_number_of_mean_or_std_is_for_all_channels():
    assert Config(mean="0.5", std="0.1, 0.2,0.3").standardisation == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    assert Config().standardisation is None


@pytest.mark.parametrize("mean", ["", "a", "0.5,0.5", "0.5;0.5;0.5", "123.68", "-0.1", "nan", "0.1,0.2,0.3,0.4"])
def test_what_is_no_mean_is_refused(mean):
    with pytest.raises(BadInput, match="--mean "):
        Config(mean=mean, std="0.5")


def test_a_std_of_zero_is_refused():
    with pytest.raises(BadInput, match=r"--std must be one number, or three as .*, from above 0 to 1, got '0'"):
        Config(mean="0.5", std="0")


def test_a_mean_without_std_is_refused():
    with pytest.raises(BadInput, match="--mean and --std standardise the images together"):
        Config(mean="0.5")
