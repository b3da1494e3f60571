import pytest

import tfcnn
from tfcnn import cost
from tfcnn.errors import BadInput
from tfcnn.models import registry


def weightless(arch, *args, **more):
    with cost.weightless():
        return tfcnn.build(arch, *args, **more)


# timm 1.0.31, `create_model(name, features_only=True).feature_info`, which test_features_torch.py asks itself;
# AlexNet's paper, section 3.5.
PUBLISHED = {
    "resnet18": ([64, 64, 128, 256, 512], [2, 4, 8, 16, 32]),
    "vgg16": ([64, 128, 256, 512, 512], [1, 2, 4, 8, 16]),
    "mobilenet_v3_large": ([16, 24, 40, 112, 960], [2, 4, 8, 16, 32]),
    "efficientnet_b0": ([16, 24, 40, 112, 320], [2, 4, 8, 16, 32]),
    "alexnet_2012": ([96, 256, 256], [4, 8, 16]),
}


@pytest.mark.parametrize(("arch", "published"), PUBLISHED.items(), ids=list(PUBLISHED))
def test_channels_and_strides_are_the_published_ones(arch, published):
    info = tfcnn.feature_info(weightless(arch, features_only=True))
    assert ([feature.channels for feature in info], [feature.stride[0] for feature in info]) == published


@pytest.mark.slow
@pytest.mark.parametrize("arch", [family.names[-1] for family in registry.FAMILIES if family.task != "detection"])
def test_a_larger_image_gives_as_many_positions_more_as_the_strides_say(arch):
    model = weightless(arch, features_only=True)
    *sides, channels = model.input_shape[1:]
    more = 4096 if len(sides) == 1 else 64  # a multiple of every stride
    larger = weightless(arch, (*(side + more for side in sides), channels), features_only=True)
    for feature, small, large in zip(tfcnn.feature_info(model), model.outputs, larger.outputs, strict=True):
        assert small.shape[-1] == feature.channels
        grown = [b - a for a, b in zip(small.shape[1:-1], large.shape[1:-1], strict=True)]
        assert grown == [more / stride for stride in feature.stride], feature


def test_out_indices_choose_and_the_head_is_gone():
    every = weightless("resnet50", features_only=True)
    some = weightless("resnet50", features_only=True, out_indices=(1, -1))
    assert [f.name for f in tfcnn.feature_info(some)] == ["stage2", "stage5"]
    assert some.count_params() == every.count_params() == 25_610_152 - (2048 + 1) * 1000
    assert weightless("resnet50", features_only=True, out_indices=[0]).count_params() < 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features_only": True, "out_indices": (5,)}, r"maps 0 to 4 \(stage1, .*\), got out_indices=5"),
        ({"features_only": True, "out_indices": (-6,)}, "got out_indices=-6"),
        ({"out_indices": (0,)}, "give features_only=True"),
    ],
)
def test_indices_that_do_not_exist(arguments, message):
    with pytest.raises(BadInput, match=message):
        weightless("resnet18", **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("arch", [family.names[0] for family in registry.FAMILIES if family.task == "classification"])
def test_no_classes_are_pooled_features(arch):
    """The last map before the head, averaged: as many features as it has channels, and no head's weights."""
    pooled = weightless(arch, num_classes=0)
    whole = weightless(arch)
    assert len(pooled.output_shape) == 2
    assert pooled.output.dtype == "float32"
    assert pooled.count_params() < whole.count_params()
    assert pooled.layers[-1].input.shape[-1] == pooled.output_shape[-1]
    assert len(pooled.layers[-1].input.shape) > 2


def test_detectors_have_the_maps_of_their_backbone():
    with pytest.raises(BadInput, match="fast_rcnn has the maps of its backbone"):
        weightless("fast_rcnn", features_only=True)


def test_segmentation_networks_have_no_pooled_features():
    with pytest.raises(BadInput, match="unet has no pooled features"):
        weightless("unet", num_classes=0)
