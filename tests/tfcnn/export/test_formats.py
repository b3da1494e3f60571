"""Which formats and quantizations go together, and which folders an export may replace."""

import importlib.util

import pytest

from tfcnn.errors import BadInput
from tfcnn.export.formats import FORMATS, is_export, parse_formats


def test_each_format_once():
    assert parse_formats("onnx, savedmodel,onnx", "none") == ["onnx", "savedmodel"]


@pytest.mark.parametrize(
    ("formats", "quantize", "line"),
    [
        ("litert,caffe", "none", "unknown format 'caffe'; choose from savedmodel, litert, onnx"),
        ("litert,", "none", "unknown format ''"),
        ("litert", "int4", "unknown quantization 'int4'; did you mean int8"),
        ("savedmodel", "int8", "--quantize int8 is for litert and onnx, not for --format savedmodel"),
    ],
)
def test_what_is_refused(formats, quantize, line):
    with pytest.raises(BadInput, match=line):
        parse_formats(formats, quantize)


@pytest.mark.parametrize("name", ["litert", "onnx"])
def test_a_missing_package_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    package = FORMATS[name].packages[0]
    with pytest.raises(BadInput, match=rf"--format {name} needs {package}.*: pip install -r requirements-export.txt"):
        parse_formats(f"savedmodel,{name}", "none")
    assert parse_formats("savedmodel", "none") == ["savedmodel"]


def write_export(folder):
    (folder / "saved_model" / "variables").mkdir(parents=True)
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"")
    for name in ("model.onnx", "model.tflite", "export.json"):
        (folder / name).write_bytes(b"")


def test_an_earlier_export_is_known(tmp_path):
    assert is_export(tmp_path)
    write_export(tmp_path / "export")
    assert is_export(tmp_path / "export")


@pytest.mark.parametrize("name", ["thesis.tex", "saved_model/thesis.tex", "variables/thesis.tex"])
def test_a_folder_of_other_things_is_no_export(name, tmp_path):
    write_export(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("years of work")
    assert not is_export(tmp_path)


def test_a_folder_without_a_report_is_no_export(tmp_path):
    write_export(tmp_path)
    (tmp_path / "export.json").unlink()
    assert not is_export(tmp_path)
