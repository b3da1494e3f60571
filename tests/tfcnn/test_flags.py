"""The flags of tfcnn.train: names that timm has, too, headings, and hints for what is no flag here."""

import dataclasses
import re

import pytest

from tfcnn.cli.parser import Parser
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput
from tfcnn.flags import ELSEWHERE, add_flags


def make_parser():
    parser = Parser(prog="test")
    add_flags(parser)
    return parser


def parse(line):
    return vars(make_parser().parse_args(line.split()))


@pytest.mark.parametrize(
    ("other", "ours"),
    [
        ("--model resnet18", "--arch resnet18"),
        ("--img-size 96", "--image-size 96"),
        ("--pretrained", "--weights imagenet"),
        ("--drop 0.2 --arch-args stem=cifar", "--arch-args stem=cifar dropout=0.2"),
        ("-b 64", "--batch-size 64"),
        ("-o runs/a", "--out runs/a"),
        ("--scale 0.08 1.0 --ratio 0.75 1.33", "--scale 0.08,1.0 --ratio 0.75,1.33"),
        ("--mean 0.485 0.456 0.406 --std 0.5 0.5 0.5", "--mean 0.485,0.456,0.406 --std 0.5,0.5,0.5"),
    ],
)
def test_other_names_of_the_same_flag(other, ours):
    assert parse(other) == parse(ours)


def test_the_last_of_two_names_counts():
    assert parse("--pretrained --weights a.npz") == {"weights": "a.npz"}


def test_numbers_in_several_words_end_at_the_next_flag():
    assert parse("--mean 0.1 0.2 0.3 --seed 1") == {"mean": "0.1,0.2,0.3", "seed": "1"}


HEADINGS = ["model", "data", "augmentation", "training", "regularisation", "precision and speed", "run"]


def sections(text):
    """Heading -> the lines below it in --help."""
    parts = {}
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            lines = parts.setdefault(line[:-1], [])
        elif parts:
            lines.append(line)
    return {heading: "\n".join(lines) for heading, lines in parts.items()}


def test_help_has_each_flag_under_one_heading():
    parts = sections(make_parser().format_help())
    assert list(parts)[1:] == HEADINGS
    for field in dataclasses.fields(Config):
        flag = flag_of(field.name)
        below = [heading for heading, text in parts.items() if re.search(rf"^  {flag}(?=[ ,]|$)", text, re.MULTILINE)]
        assert len(below) == 1, flag


@pytest.mark.parametrize(
    ("flag", "heading"),
    [
        ("--weights", "model"),
        ("--mean", "data"),
        ("--mixup", "augmentation"),
        ("--early-stop", "training"),
        ("--weight-decay", "regularisation"),
        ("--distribution", "precision and speed"),
        ("--out", "run"),
    ],
)
def test_the_heading_of_a_flag(flag, heading):
    assert f"  {flag}" in sections(make_parser().format_help())[heading]


def test_a_part_of_the_flags_keeps_its_headings():
    parser = Parser(prog="test")
    add_flags(parser, ["width", "out"])
    assert list(sections(parser.format_help()))[1:] == ["model", "run"]


@pytest.mark.parametrize("flag", sorted(ELSEWHERE))
def test_a_flag_of_another_program_is_refused_with_what_to_do(flag):
    with pytest.raises(BadInput) as caught:
        parse(f"{flag} 3")
    assert str(caught.value) == f"unknown argument '{flag}': {ELSEWHERE[flag]}"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("--warmup", "; did you mean --warmup-lr or --warmup-epochs?"),
        ("--batch", "; did you mean --batch-size?"),
        ("--batch_size", "; did you mean --batch-size?"),
        ("--output=x", "; did you mean --out?"),
        ("-batch-size=3", "; did you mean --batch-size?"),
        ("-out=x", "; did you mean --out?"),
        ("--train-dir", " (see --help)"),
        ("--opt-eps", " (see --help)"),
        ("--crop", "; did you mean --crop-mode or --crop-margin?"),
    ],
)
def test_a_hint_has_the_same_meaning(word, hint):
    with pytest.raises(BadInput) as caught:
        parse(word)
    assert str(caught.value).endswith(hint)
