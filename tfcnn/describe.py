"""`python -m tfcnn.describe --arch A`: a network layer by layer, with its costs. No weight is allocated."""

from __future__ import annotations

import sys

from tfcnn import command, models
from tfcnn.config import Config, add_flags


def main() -> None:
    parser = command.Parser(prog="python -m tfcnn.describe", description="A network layer by layer, with its costs.")
    add_flags(parser, ("arch", "width", "depth", "arch_args", "image_size"))
    parser.add_argument("--channels", metavar="N", help="channels of the images [the paper's]")
    parser.add_argument("--classes", metavar="N", help="number of classes [the paper's]")
    given = vars(parser.parse_args())
    channels, classes = (
        None if (text := given.pop(name)) is None else command.count(f"--{name}", text)
        for name in ("channels", "classes")
    )
    config = Config(**given)
    models.family_of(config.arch)
    if config.image_size is not None:
        models.check_size(config.arch, (config.image_size, config.image_size))

    command.import_tensorflow()
    from tfcnn import cost

    shape = list(models.arguments(config.arch)["input_shape"])
    if config.image_size is not None:
        shape[:-1] = [config.image_size] * (len(shape) - 1)
    shape[-1] = channels or shape[-1]
    with cost.weightless():
        model = models.build(config.arch, tuple(shape), classes, **config.overrides)
    table = cost.cost_table(model)
    print(table)
    print(
        f"\n{config.arch}: {table.params:,} parameters ({table.trainable:,} trainable), {table.macs:,} MACs and "
        f"{table.activation_bytes / 2**20:,.1f} MiB of activations for an image of {'x'.join(map(str, shape))}"
    )


if __name__ == "__main__":
    sys.exit(command.run(main))
