import pytest

from benchmarks.train_step import page
from benchmarks.train_step.machine import PRODUCT_FLOPS, SUM_BYTES
from benchmarks.train_step.networks import ROWS
from benchmarks.training_runs import append_row, read_rows, remove_rows
from tfcnn.models.registry import ARCHS

MACS = 10**9
FACTS = {**ROWS["resnet20@32"].key, "macs": str(MACS), "device": "a device", "parameters": "7"}


def make_row(contender, wall, precision="float32", peak="100"):
    cpu = " ".join(str(2 * float(seconds)) for seconds in wall.split())
    return FACTS | {"contender": contender, "precision": precision, "wall": wall, "cpu": cpu, "peak": peak}


def make_network(*rows):
    (network,) = page.networks_of(rows)
    return network


OURS = make_row("ours", "1.0 1.0 2.0")
PRODUCT = make_row("product", str(PRODUCT_FLOPS / 1e12))  # at 1 TFLOP/s
FIT = make_row("fit", "0.5 0.5 0.5")
EAGER = make_row("PyTorch", "1.3 1.1 1.25")
COMPILED = make_row("compiled", "1.5 1.5 0.1", peak="200")


def test_share_of_the_product():
    batch = ROWS["resnet20@32"].batch
    assert make_network(OURS, PRODUCT).share("float32") == pytest.approx(6 * MACS * batch / 1e12)
    assert make_network(OURS, PRODUCT).share("bfloat16") is None


def test_the_line_has_the_best_of_pytorch_by_its_median():
    line = page.summarise(make_network(FIT, OURS, EAGER, COMPILED, PRODUCT), "float32")
    assert line[0] == "resnet20@32 x 64"
    assert line[1:5] == ["64", "38%", "128", "51 eager"]
    assert line[5:7] == ["1.25", "0.86 to 1.20"]
    assert line[7:10] == ["100", "100", "100"]


def test_goals_follow_from_the_figures():
    network = make_network(FIT, OURS, EAGER, COMPILED, PRODUCT)
    assert page.check_goals(network, "float32") == {"1.2 x PyTorch": True, "fit": False, "40%": False}
    assert page.check_goals(make_network(OURS), "float32") == {}


def test_goals_are_counted_by_kind():
    networks = [make_network(FIT, OURS), make_network(FIT, make_row("ours", "0.1 0.1"), PRODUCT)]
    assert page.count_goals(networks, "float32") == "fit 1 of 2; the share of the product 1 of 1"


def test_cells_of_what_is_not_known_are_empty():
    old = [row | {"cpu": "", "peak": "", "parameters": ""} for row in (make_row("fit", "2.0"), make_row("ours", "1.0"))]
    network = make_network(*old)
    assert page.summarise(network, "float32")[4:10] == [""] * 6
    assert page.detail(network)[1][3:] == ["64", "2.00", "", "", "", ""]
    assert page.describe_machine(network) is None


def test_what_the_machine_did():
    rows = [make_row("product", str(PRODUCT_FLOPS / 4e11), "bfloat16"), make_row("sum", str(SUM_BYTES / 2e10))]
    assert page.describe_machine(make_network(OURS, PRODUCT, *rows))[1:] == ["1,000", "400", "20.0"]


def test_rows_of_a_network_are_removed(tmp_path):
    table = tmp_path / "table.csv"
    other = OURS | ROWS["m5@8000"].key
    for row in (OURS, other, FIT):
        append_row(table, row)
    remove_rows(table, ROWS["resnet20@32"].key)
    assert read_rows(table) == [other]


def test_every_network_is_of_an_architecture():
    assert {row.arch for row in ROWS.values()} <= set(ARCHS)
