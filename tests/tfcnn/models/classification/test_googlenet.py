import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.errors import BadInput
from tfcnn.graph import in_order
from tfcnn.models.classification.googlenet import STAGES, inception

# Table 1 of the paper: output size of each module, millions of operations.
MODULES = (
    (28, 256, 128),
    (28, 480, 304),
    (14, 512, 73),
    (14, 512, 88),
    (14, 512, 100),
    (14, 528, 119),
    (14, 832, 170),
    (7, 832, 54),
    (7, 1024, 71),
)


def weightless(*args, **overrides):
    with cost.weightless():
        return tfcnn.build("googlenet", *args, **overrides)


def test_table_1_modules():
    channels = 192
    for row, (size, filters, millions) in zip([row for stage in STAGES for row in stage], MODULES, strict=True):
        inputs = keras.Input((size, size, channels))
        with cost.weightless():
            model = keras.Model(inputs, inception(inputs, row, style=None))
        assert model.output_shape == (None, size, size, filters)
        channels = filters
        if millions != 54:  # 5a: 51 by the table's own filters
            assert cost.cost_table(model).macs / 1e6 == pytest.approx(millions, abs=0.7)


@pytest.mark.parametrize("form", ["paper", "torchvision"])
def test_table_1_sizes(form):
    model = weightless(form=form)
    sizes = [model.get_layer(f"stage{n}").output.shape[1:] for n in range(1, 6)]
    assert sizes == [(112, 112, 64), (56, 56, 192), (28, 28, 480), (14, 14, 832), (7, 7, 1024)]


def test_auxiliary_classifiers():
    """Section 5: 4x4x512 and 4x4x528 after the pooling, 128 filters, 1024 units; torchvision counts 13,004,888."""
    plain = weightless(form="paper")
    full = weightless(form="paper", auxiliary=True)
    heads = sum((c + 1) * 128 + (4 * 4 * 128 + 1) * 1024 + 1025 * 1000 for c in (512, 528))
    assert full.count_params() - plain.count_params() == heads
    assert [output.shape for output in full.outputs] == [(None, 1000)] * 3
    assert full.output_names == ["logits", "auxiliary1", "auxiliary2"]
    assert cost.cost_table(weightless(auxiliary=True)).trainable == 13_004_888
    assert weightless(auxiliary=True, num_classes=0).output_shape == (None, 1024)
    with pytest.raises(BadInput, match="googlenet cannot be built"):
        weightless((32, 32, 3), form="paper", auxiliary=True, stem="imagenet")


@pytest.mark.slow
def test_auxiliary_classifiers_train_what_lies_before_them():
    """Only the second one's loss: everything up to 4d learns, nothing after it does."""
    keras.utils.set_random_seed(0)
    model = tfcnn.build("googlenet", (32, 32, 1), 3, auxiliary=True, width=0.1, bn_momentum=0.5)
    losses = [keras.losses.SparseCategoricalCrossentropy(from_logits=True) for _ in range(3)]
    model.compile(keras.optimizers.SGD(0.1), losses, loss_weights=[0, 0, 1], run_eagerly=True)
    images = np.random.default_rng(0).normal(size=(6, 32, 32, 1)).astype("float32")
    labels = np.arange(6) % 3
    weights = {name: model.get_layer(name).get_weights()[0] for name in ("logits", "auxiliary1", "auxiliary2")}
    first = model.layers[1].get_weights()[0]
    model.train_on_batch(images, [labels] * 3)
    changed = {name: (model.get_layer(name).get_weights()[0] != w).any() for name, w in weights.items()}
    assert changed == {"logits": False, "auxiliary1": False, "auxiliary2": True}
    assert (model.layers[1].get_weights()[0] != first).any()


@pytest.mark.slow
def test_depth_repeats_modules_within_a_stage():
    def modules(depth):
        kinds = [type(layer).__name__ for layer in weightless(depth=depth).layers]
        return kinds.count("Concatenate")

    assert [modules(depth) for depth in (0.2, 0.5, 1.0, 2.0)] == [3, 5, 9, 18]


@pytest.mark.torch
@pytest.mark.parametrize("size", [47, 80])
def test_the_papers_module_and_stem_against_pytorchs_layers(size):
    """Odd and even sizes through the poolings in ceil mode, and the 5x5 branch."""
    import torch
    from torch.nn import functional as F

    model = tfcnn.build("googlenet", (size, size, 3), 4, form="paper", width=0.25, depth=0.2, stem="imagenet")
    images = 30 * np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32")
    weights = iter(layer.get_weights() for layer in in_order(model))

    def conv(x, stride=1):
        kernel, bias = next(weights)
        kernel = torch.from_numpy(np.transpose(kernel, (3, 2, 0, 1)).copy())
        return F.relu(F.conv2d(x, kernel, torch.from_numpy(bias), stride, padding=kernel.shape[-1] // 2))

    def lrn(x):
        return F.local_response_norm(x, 5, alpha=5 * 1e-4, beta=0.75, k=2)

    def pool(x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    x = pool(conv(torch.from_numpy(np.moveaxis(images, -1, 1).copy()), 2))
    x = lrn(conv(conv(lrn(x))))
    for _ in range(3):
        x = pool(x)
        a = conv(x)
        b = conv(conv(x))
        c = conv(conv(x))
        x = torch.cat([a, b, c, conv(F.max_pool2d(x, 3, 1, 1))], 1)
    kernel, bias = next(weights)
    expected = x.mean((2, 3)).numpy() @ kernel + bias
    np.testing.assert_allclose(model.predict_on_batch(images), expected, rtol=1e-4, atol=1e-4 * expected.std())


@pytest.mark.torch
def test_auxiliary_classifiers_are_torchvisions(tmp_path):
    """Of the same weights, loaded from one file."""
    from benchmarks import parity

    torch = parity.import_torch()
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(0)
    reference = torchvision.models.googlenet(num_classes=5, init_weights=False, aux_logits=True).eval()
    save_file(reference.state_dict(), tmp_path / "googlenet.safetensors")
    auxiliary = {}
    reference.inception4a.register_forward_hook(lambda *args: auxiliary.update(aux1=reference.aux1(args[-1])))
    reference.inception4d.register_forward_hook(lambda *args: auxiliary.update(aux2=reference.aux2(args[-1])))
    images = np.random.default_rng(0).normal(size=(2, 72, 88, 3)).astype("float32")
    with torch.no_grad():
        logits = reference(torch.from_numpy(np.moveaxis(images, -1, 1).copy()))
    path = str(tmp_path / "googlenet.safetensors")
    model = tfcnn.build("googlenet", (72, 88, 3), 5, auxiliary=True, weights=path)
    for actual, expected in zip(
        model.predict_on_batch(images), (logits, auxiliary["aux1"], auxiliary["aux2"]), strict=True
    ):
        assert expected.std() > 0
        np.testing.assert_allclose(actual, expected, atol=1e-5)
