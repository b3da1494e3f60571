"""How long a network that is slower than the folder's images waits for them, and one that is faster."""

from pathlib import Path

import tensorflow as tf

from benchmarks.input_pipeline.photographs import write_photographs
from benchmarks.input_pipeline.rounds import BATCH, STEPS
from benchmarks.step_profile import profile_steps
from pipelines.dataset import AHEAD
from tfcnn.config import Config
from tfcnn.training import loop
from tfcnn.training.data import load_data
from tfcnn.training.fit import build_model


def training(root: Path, count: int, rounds: int) -> None:
    """Print how long steps of MobileNet 0.25 wait for the folder's images, and for contrast steps of nothing."""
    write_photographs(root / "photographs", count)
    config = Config(dataset=str(root / "photographs"), width=0.25, batch_size=BATCH, data_dir=str(root), data_memory=0)
    data = load_data(config)
    model, _ = build_model(config, data)
    loop.build_metrics(model, data)
    print(f"\n**{STEPS} steps on batches of {BATCH} of that folder**, by TensorFlow's profiler\n")
    print("| a step is | seconds | of them in IteratorGetNext |\n|---|---|---|")
    for name, step in (
        ("mobilenet-0.25's, forward and backward", None),
        ("empty: the images are the bottleneck", lambda batch: {"loss": tf.reduce_sum(batch[1])}),
    ):
        take = loop.several_steps(model, step)
        batches = iter(data.train(10_000))
        take(batches, AHEAD + 1)[0].numpy()
        profile = profile_steps(lambda take=take, batches=batches: take(batches, STEPS)[0].numpy())
        waited = profile.total["IteratorGetNext"] / 1e12
        print(f"| {name} | {profile.seconds:.1f} | {waited:.3f} ({waited / profile.seconds:.1%}) |", flush=True)
