import os
import shutil
import unicodedata

import pytest

from pipelines.readers.folder import read_folder
from tests.pipelines.files import names, put, refusal

pytestmark = pytest.mark.usefixtures("own_data_dir")


def write_list(root, text, count=12):
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
    listing = read_folder(write_list(tmp_path, head + ROWS))
    assert listing.class_names == ("a", "b")
    labels = {}
    for files in listing.splits.values():
        labels |= dict(zip(files.paths, files.labels.tolist(), strict=True))
    assert labels == {f"{tmp_path}/in/{number}.png": number % 2 for number in range(12)}


@pytest.mark.parametrize("head", ["", "path,label,split\n"])
def test_a_list_with_splits(tmp_path, head):
    splits = names(read_folder(write_list(tmp_path, head + SPLIT_ROWS)), tmp_path)
    assert {split: sorted(paths) for split, paths in splits.items()} == {
        "train": [f"in/{number}.png" for number in range(6)],
        "validation": ["in/6.png", "in/7.png", "in/8.png"],
        "test": ["in/10.png", "in/11.png", "in/9.png"],
    }


def test_columns_are_found_by_name(tmp_path):
    rows = "".join(f"x,{'ab'[number % 2]},in/{number}.png\n" for number in range(12))
    listing = read_folder(write_list(tmp_path, "note,label,path\n" + rows))
    assert sum(len(files.paths) for files in listing.splits.values()) == 12
    assert listing.notes == {"lines whose column 'note' is not used": 12}


def test_a_list_moves_with_its_images(tmp_path):
    (tmp_path / "one").mkdir()
    one = read_folder(write_list(tmp_path / "one", ROWS)).fingerprint
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert read_folder(tmp_path / "two" / "list.csv").fingerprint == one


def test_a_quoted_name_may_hold_a_comma(tmp_path):
    (tmp_path / "in").mkdir()
    put(tmp_path / "in" / "x, y.png")
    listing = read_folder(write_list(tmp_path, ROWS + '"in/x, y.png","a"\n'))
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
    assert says in refusal(write_list(tmp_path, text))


def test_a_list_of_another_encoding(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"path,label\ncaf\xe9.png,a\n")
    assert "cannot be read as comma-separated text" in refusal(tmp_path / "list.csv")


def rows(labels):
    return "".join(f"in/{number}.png,{label}\n" for number, label in enumerate(labels))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (rows(["cat", "dog", "cat;dog"] * 4), "several labels a row, as 'cat;dog'"),
        (rows(["cat|dog", "dog|emu", "emu|cat"] * 4), "several labels a row, as 'cat|dog'"),
        (rows(['"cat,dog"', "cat", "dog"] * 4), "several labels a row, as 'cat,dog'"),
        ("path,cat,dog\n" + rows(["0,1", "1,1"] * 6), "a column of 0 and 1 for each of 2 classes, cat, dog"),
        (rows(["0.25", "1", "0.75", "2"] * 3), "numbers as labels, as 0.25: to predict numbers (regression)"),
        (rows(["1e-3", "2", "3", "-4"] * 3), "numbers as labels, as 1e-3"),
        ("path,label,is_valid\n" + rows(["a,0", "b,maybe"] * 6), "line 3: is_valid 'maybe' is none of true, 1"),
        ("path,label,split,is_valid\n" + rows(["a,train,0"] * 6), "the columns split and is_valid"),
    ],
)
def test_lists_of_other_kinds(tmp_path, text, says):
    assert says in refusal(write_list(tmp_path, text))


def test_many_whole_numbers_are_no_classes(tmp_path):
    assert "30 of 30 of one image alone" in refusal(write_list(tmp_path, rows(range(100, 130)), count=30))


@pytest.mark.parametrize("labels", [["0", "1"], ["-1", "1"], ["1.0", "2.0"], ["Boston; MA", "Rome; IT"]])
def test_labels_that_are_names_of_classes(tmp_path, labels):
    assert read_folder(write_list(tmp_path, rows(labels * 6))).class_names == tuple(labels)


def test_a_comma_in_names_of_one_class_each(tmp_path):
    labels = ["Boston, MA", "Salem, MA"]
    assert read_folder(write_list(tmp_path, rows(f'"{label}"' for label in labels * 6))).class_names == tuple(labels)


@pytest.mark.parametrize("yes", ["1", "True", "yes"])
def test_is_valid_names_the_validation_images(tmp_path, yes):
    text = "path,label,is_valid\n" + rows(f"{'ab'[n % 2]},{yes if n >= 8 else 0}" for n in range(12))
    splits = names(read_folder(write_list(tmp_path, text)), tmp_path)
    assert sorted(splits["validation"]) == ["in/10.png", "in/11.png", "in/8.png", "in/9.png"]
    assert len(splits["train"]) + len(splits["test"]) == 8


@pytest.mark.parametrize(("on_disk", "in_list"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_paths_and_labels_in_another_form_of_unicode(tmp_path, on_disk, in_list):
    for number in range(12):
        put(tmp_path / unicodedata.normalize(on_disk, f"thé/é{number}.png"), number=number)
    text = "".join(f"thé/é{number}.png,{'éa'[number % 2]}\n" for number in range(12))
    (tmp_path / "list.csv").write_text(unicodedata.normalize(in_list, text))
    listing = read_folder(tmp_path / "list.csv")
    assert listing.class_names == ("a", "é")
    assert all(os.path.exists(path) for files in listing.splits.values() for path in files.paths)
