import pytest

import tfcnn
from benchmarks.parity import import_torch
from tfcnn import cost

# Ours, and timm's network of the same maps.
TIMM = {
    **{name: name for name in ("resnet18", "resnet50", "vgg16", "densenet121", "efficientnet_b0", "inception_v3")},
    "mobilenet": "mobilenetv1_100",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "xception": "legacy_xception",
}


@pytest.mark.torch
@pytest.mark.parametrize(("arch", "name"), TIMM.items(), ids=list(TIMM))
def test_maps_are_those_of_timm(arch, name):
    torch = import_torch()
    import timm

    with torch.device("meta"):
        expected = timm.create_model(name, features_only=True).feature_info
    with cost.weightless():
        info = tfcnn.feature_info(tfcnn.build(arch, features_only=True))
    count = len(info)  # timm's VGG has the last pooling as well
    assert [feature.channels for feature in info] == expected.channels()[:count]
    assert [feature.stride for feature in info] == [(stride, stride) for stride in expected.reduction()[:count]]
