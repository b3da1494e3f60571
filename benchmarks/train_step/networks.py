"""The networks whose training steps are timed, and their twins."""

from __future__ import annotations

from typing import Any, NamedTuple

from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.models import registry
from tfcnn.training import recipes

CLASSES = 10
RATE = 1e-3
# Least shares of the product of matrices: of dense convolutions, and of the networks that have another.
DENSE = 0.7
RAW = {"include_preprocessing": False}  # keras.applications' MobileNetV3 scales its images otherwise


class Row(NamedTuple):
    """A network at a size, and its twins.

    Attributes:
        arch: of the registry.
        size: pixels, samples or voxels a side.
        batch: examples.
        channels: of the input.
        width: multiplier.
        arguments: of the builder, besides those of the recipe.
        keras: name and options of the network of keras.applications.
        torch: the network of PyTorch: "timm:name", "torchvision:name", or "here", by `arch` in torch_networks.py or
            torch_segmentation.py.
        share: the goal for the share of the machine's product of matrices in float32.
    """

    arch: str
    size: int
    batch: int
    channels: int = 3
    width: float = 1.0
    arguments: dict = {}  # noqa: RUF012
    keras: tuple[str, dict] | None = None
    torch: str = "here"
    share: float | None = None

    @property
    def network(self) -> str:
        """Its name in tables, with the width where it is not 1."""
        return self.arch if self.width == 1 else f"{self.arch}-{self.width:g}"

    @property
    def key(self) -> dict[str, str]:
        """The columns of a table that name it."""
        return {"network": self.network, "size": str(self.size), "batch": str(self.batch)}

    @property
    def task(self) -> str:
        return registry.family_of(self.arch).task

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (*(self.size,) * registry.family_of(self.arch).axes, self.channels)

    @property
    def config(self) -> Config:
        """A run of the default recipe."""
        flags = {"arch": self.arch, "width": self.width, "batch_size": self.batch, "lr": RATE}
        return recipes.resolve(flags | {"arch_args": self.arguments})

    @property
    def overrides(self) -> dict[str, Any]:
        """The arguments of our builder: those of the run, and the published stem at any size."""
        stem = registry.defaults_of(self.arch).get("stem")
        return self.config.overrides | ({} if stem is None else {"stem": stem})

    def count_macs(self) -> int:
        """Of our network, for one example."""
        import_tensorflow()
        from tfcnn import factory
        from tfcnn.cost import cost_table, weightless

        with weightless():
            return cost_table(factory.build(self.arch, self.input_shape, CLASSES, **self.overrides)).macs


def mobilenet(size: int, batch: int) -> Row:
    return Row("mobilenet", size, batch, keras=("MobileNet", {}), torch="timm:mobilenetv1_100", share=0.6)


def quarter_mobilenet(size: int, batch: int) -> Row:
    return Row("mobilenet", size, batch, width=0.25, keras=("MobileNet", {"alpha": 0.25}), torch="timm:mobilenetv1_100")


def mobilenet_v3(variant: str) -> Row:
    arch = f"mobilenet_v3_{variant}"
    twin = (f"MobileNetV3{variant.title()}", RAW)
    return Row(arch, 96, 32, arguments={"form": "torchvision"}, keras=twin, torch=f"torchvision:{arch}")


ROWS = {
    f"{row.network}@{row.size}": row
    for row in (
        Row("lenet5", 28, 128, channels=1),
        Row("alexnet", 224, 32, torch="torchvision:alexnet", share=DENSE),
        Row("nin", 32, 64, share=DENSE),
        Row("vgg11", 32, 64, share=DENSE),
        Row("googlenet", 64, 32, torch="torchvision:googlenet", share=DENSE),
        Row(
            "inception_v3",
            96,
            16,
            arguments={"form": "torchvision"},
            keras=("InceptionV3", {}),
            torch="timm:inception_v3",
            share=DENSE,
        ),
        Row("resnet18", 64, 32, torch="torchvision:resnet18", share=DENSE),
        Row("resnet50", 64, 32, keras=("ResNet50", {}), torch="torchvision:resnet50", share=DENSE),
        Row("resnet20", 32, 64, share=0.4),
        Row("densenet121", 64, 16, keras=("DenseNet121", {}), torch="torchvision:densenet121", share=DENSE),
        Row("squeezenet1_1", 64, 32, torch="torchvision:squeezenet1_1", share=0.5),
        mobilenet(32, 64),
        mobilenet(96, 32),
        mobilenet(224, 16),
        quarter_mobilenet(32, 64),
        quarter_mobilenet(96, 32),
        quarter_mobilenet(224, 16),
        Row("mobilenet_v2", 96, 32, keras=("MobileNetV2", {}), torch="torchvision:mobilenet_v2"),
        mobilenet_v3("small"),
        mobilenet_v3("large"),
        Row("xception", 96, 8, keras=("Xception", {}), torch="timm:legacy_xception"),
        Row(
            "efficientnet_b0",
            64,
            16,
            arguments={"form": "timm"},
            keras=("EfficientNetB0", {}),
            torch="timm:efficientnet_b0",
        ),
        Row("m5", 8000, 16, channels=1),
        Row("voxnet", 32, 16, channels=1),
        Row("unet", 96, 8, width=0.25, share=DENSE),
        Row("segnet", 96, 8, width=0.25, share=DENSE),
        Row("fcn8s", 96, 8, width=0.25, share=DENSE),
        Row("dilated_vgg16", 96, 8, width=0.25, share=DENSE),
        Row("unet3d", 32, 4, channels=1, width=0.25),
    )
}
