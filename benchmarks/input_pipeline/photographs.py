"""A folder of JPEGs to read: windows of scikit-learn's two photographs."""

from pathlib import Path

import numpy as np

from benchmarks.input_pipeline.rounds import MEAN, SIDE, STD


def write_photographs(root: Path, count: int) -> None:
    """JPEGs cut from scikit-learn's two photographs, in two folders; those that are there already stay."""
    if len(list(root.rglob("*.jpg"))) == count:
        return
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(photograph) for photograph in load_sample_images().images]
    for number in range(count):
        photograph = photographs[number % 2]
        size = [round(side * rng.uniform(0.5, 1)) for side in photograph.size]
        corner = [int(rng.integers(0, whole - side + 1)) for whole, side in zip(photograph.size, size, strict=True)]
        box = (*corner, corner[0] + size[0], corner[1] + size[1])
        folder = root / ("china", "flower")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        photograph.resize((500, 375), Image.Resampling.BICUBIC, box).save(folder / f"{number:05}.jpg", quality=92)


class Photographs:
    """A map-style data set for PyTorch's workers."""

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        from PIL import Image

        if not hasattr(self, "transform"):
            from benchmarks.parity import import_torch

            import_torch().set_num_threads(1)
            from torchvision import transforms as t

            crop = t.RandomResizedCrop(SIDE, scale=(0.25, 1.0))
            self.transform = t.Compose([crop, t.RandomHorizontalFlip(), t.ToTensor(), t.Normalize(MEAN, STD)])
        file = self.files[number]
        return self.transform(Image.open(file).convert("RGB")), int("flower" in file)
