import shutil

import pytest

from pipelines.readers.folder import read_folder
from tests.pipelines.files import names, put, refusal

pytestmark = pytest.mark.usefixtures("own_data_dir")


def listed(root, text, count=12):
    for number in range(count):
        put(root / "in" / f"{number}.png", number=number)
    file = root / "list.csv"
    file.write_text(text)
    return file


ROWS = "".join(f"in/{number}.png,{'ab'[number % 2]}\n" for number in range(12))
SPLIT_ROWS = "".join(
    f"in/{number}.png,{'ab'[number % 2]},{('train', 'train', 'val', 'test')[number // 3]}\n" for number in range(12)
)


@pytest.mark.parametrize("head", ["", "path,label\n", "Path, Label\n\n", "\ufeffpath,label\n"])
def test_a_list_of_paths_and_labels(tmp_path, head):
    listing = read_folder(listed(tmp_path, head + ROWS))
    assert listing.class_names == ("a", "b")
    found = {}
    for files in listing.splits.values():
        found |= dict(zip(files.paths, files.labels.tolist(), strict=True))
    assert found == {f"{tmp_path}/in/{number}.png": number % 2 for number in range(12)}


@pytest.mark.parametrize("head", ["", "path,label,split\n"])
def test_a_list_with_splits(tmp_path, head):
    found = names(read_folder(listed(tmp_path, head + SPLIT_ROWS)), tmp_path)
    assert {split: sorted(paths) for split, paths in found.items()} == {
        "train": [f"in/{number}.png" for number in range(6)],
        "validation": ["in/6.png", "in/7.png", "in/8.png"],
        "test": ["in/10.png", "in/11.png", "in/9.png"],
    }


def test_columns_are_found_by_name(tmp_path):
    rows = "".join(f"x,{'ab'[number % 2]},in/{number}.png\n" for number in range(12))
    listing = read_folder(listed(tmp_path, "note,label,path\n" + rows))
    assert sum(len(files.paths) for files in listing.splits.values()) == 12


def test_a_list_moves_with_its_images(tmp_path):
    (tmp_path / "one").mkdir()
    one = read_folder(listed(tmp_path / "one", ROWS)).fingerprint
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert read_folder(tmp_path / "two" / "list.csv").fingerprint == one


def test_a_quoted_name_may_hold_a_comma(tmp_path):
    (tmp_path / "in").mkdir()
    put(tmp_path / "in" / "x, y.png")
    listing = read_folder(listed(tmp_path, ROWS + '"in/x, y.png","a"\n'))
    assert any(path.endswith("x, y.png") for files in listing.splits.values() for path in files.paths)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no lines"),
        ("path,label\n", "names no image"),
        ("file,class\nin/0.png,a\n", "begins with 'file,class': neither the columns path,label"),
        ("in/0.png\nin/1.png\n", "begins with 'in/0.png': neither the columns"),
        (ROWS + "in/0.png\n", "line 13: 1 values, but the file has 2 columns"),
        (ROWS + "in/0.png,a,b\n", "line 13: 3 values, but the file has 2 columns"),
        (ROWS + "\nin/x.png,\n", "line 14: the label is empty"),
        ("path,label\n,a\n", "line 2: the path is empty"),
        (ROWS + "in/../in/3.png,a\n", "line 13: 'in/../in/3.png' stands in line 4 already"),
        ("in/0.png,a,dev\n", "line 1: split 'dev' is none of train, test, val"),
        ("in/0.png,a,test\n", "has no line of the split train"),
        (SPLIT_ROWS.replace("in/11.png,b", "in/11.png,c"), "class 'c' has no image in the training split"),
        (ROWS.replace(",b", ",a"), "has class 'a' alone"),
        (ROWS + "in/gone.png,a\n", "in/gone.png' (class 'a'): no such file;"),
        ('in/0.png,"a\n', "cannot be read as comma-separated text"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, text, says):
    assert says in refusal(listed(tmp_path, text))


def test_a_list_of_another_encoding(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"path,label\ncaf\xe9.png,a\n")
    assert "cannot be read as comma-separated text" in refusal(tmp_path / "list.csv")
