"""The formats of files with weights, by their suffix. Standard library only."""

from __future__ import annotations

from pathlib import Path

from tfcnn.errors import BadInput

KERAS = (".keras", ".h5")
TENSORS = (".safetensors", ".npz")
FORMATS = ".keras, .h5, .safetensors or .npz"
TORCH = (".pth", ".pt", ".bin", ".ckpt", ".pth.tar")  # pickles, which can run code as they are read
# Where a checkpoint nests its weights, and what it calls them: timm's names, the averaged weights first.
CONVERSION = """\
python -c "import torch, safetensors.torch; d = torch.load('{path}', 'cpu', weights_only=True); \
d = next((d[k] for k in ('state_dict_ema', 'model_ema', 'state_dict', 'model') if k in d), d); \
safetensors.torch.save_file({{k: v.clone().contiguous() for k, v in d.items()}}, '{target}')\""""


def suffix_of(path: str) -> str:
    """The suffix in lower case.

    >>> suffix_of("runs/MODEL.KERAS")
    '.keras'
    """
    return Path(path).suffix.lower()


def check_weights(weights: str) -> None:
    """Raises BadInput unless `weights` is "imagenet" or an existing file of one of the formats. Reads nothing of it."""
    if weights == "imagenet":
        return
    if not Path(weights).is_file():
        raise BadInput(f"no weights at '{weights}': give imagenet, or a file {FORMATS} (--weights)")
    if weights.lower().endswith(TORCH):
        target = f"{weights[: weights.rindex('.')].removesuffix('.pth')}.safetensors"
        line = CONVERSION.format(path=weights, target=target)
        raise BadInput(
            f"'{weights}' (--weights) is a PyTorch checkpoint, which can hold code; make a .safetensors of it: {line}"
        )
    if suffix_of(weights) not in KERAS + TENSORS:
        raise BadInput(f"'{weights}' is no {FORMATS} file (--weights)")
