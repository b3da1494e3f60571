"""Names of classes and runs in pictures, read from matplotlib's figures."""

import numpy as np

from tfcnn.visualize import confusion, curves

ROWS = [{"epoch": 1, "loss": 2.0, "val_loss": 2.5, "accuracy": 0.4, "val_accuracy": 0.5, "learning_rate": 0.01}]


def test_the_names_of_classes(saved_figures, tmp_path):
    names = ("a$$b", "$5_to_$9", "c" * 50)
    confusion.draw_confusion(np.eye(3, dtype=int), names, tmp_path / "a.png", title="x on $data$")
    (figure,) = saved_figures
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [r"a\$\$b", r"\$5_to_\$9", "c" * 15 + "…" + "c" * 14]
    assert figure.get_suptitle() == r"x on \$data\$"


def test_the_names_of_runs(saved_figures, tmp_path):
    curves.draw_comparison({"a$$b": ROWS, "_old": ROWS, "$x": []}, tmp_path / "a.png")
    curves.draw_curves(ROWS, tmp_path / "b.png", title="lenet5 on /data/$5_$9")
    comparison, run = saved_figures
    assert [entry.get_text() for entry in comparison.legends[0].get_texts()] == [r"a\$\$b", "_old", r"\$x"]
    assert run.get_suptitle() == r"lenet5 on /data/\$5_\$9"
