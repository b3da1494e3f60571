"""The classes of records, and the class of each, from labels that are numbers or names.

names are known       the classes of the data set, or classes.txt: a number counts them from 0, a name is one of them
whole numbers         the different ones among the training records, in order; each is the name of its class
numbers with texts    the same, named by the texts
names                 the different ones among the training records, sorted
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipelines.errors import BadData
from pipelines.parts import Part
from pipelines.readers.tree import composed

LARGEST = 1 << 31


class Record(NamedTuple):
    """An image in a file of records.

    Attributes:
        name: a relative path, as that of an image in a folder.
        split: train, validation or test.
        label: number or name of its class.
        part: where its bytes are.
        text: the name of a class that has a number, "" if there is none.
    """

    name: str
    split: str
    label: int | str
    part: Part
    text: str = ""


def label_of(text: str) -> int | str:
    """A label from its text: a whole number or a name.

    >>> label_of("7\\n"), label_of("cat"), label_of("-1")
    (7, 'cat', -1)
    """
    text = text.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 10 else composed(text)


def name_classes(
    records: Sequence[Record], names: Sequence[str] | None, where: str
) -> tuple[tuple[str, ...], list[str]]:
    """The names of the classes in order, and that of each record.

    Args:
        records: all.
        names: of the classes; None: the labels decide.
        where: the data set, for messages.

    Raises:
        BadData: a label out of range; numbers and names at once; a number with two texts.
    """
    if names is not None:
        return tuple(names), [_choose(record, names, where) for record in records]
    numbers = isinstance(records[0].label, int)
    for record in records:
        if isinstance(record.label, int) != numbers:
            raise BadData(
                f"labels of '{where}' are numbers and names, as {records[0].label!r} of {records[0].name} and "
                f"{record.label!r} of {record.name} (--dataset)"
            )
        if isinstance(record.label, int) and not 0 <= record.label < LARGEST:
            raise BadData(
                f"label {record.label} of record {record.name} of '{where}': a class is 0 or more (--dataset)"
            )
    training = sorted({record.label for record in records if record.split == "train"})
    names_of = dict(zip(training, map(str, training), strict=True)) | _texts(records, where)
    for record in records:
        if record.label not in names_of:
            raise BadData(
                f"label {record.label} of record {record.name} of '{where}' is of no training record (--dataset)"
            )
    return tuple(names_of[label] for label in training), [names_of[record.label] for record in records]


def _choose(record: Record, names: Sequence[str], where: str) -> str:
    """The name of a record's class, one of `names`."""
    label = record.label
    if isinstance(label, str) and label in names:
        return label
    if isinstance(label, int) and 0 <= label < len(names):
        return names[label]
    raise BadData(
        f"label {label} of record {record.name} of '{where}': its {len(names)} classes are 0 ... {len(names) - 1} "
        f"(--dataset)"
    )


def _texts(records: Sequence[Record], where: str) -> dict[int | str, str]:
    """The name of each numbered class that the training records tell; none unless all do."""
    texts: dict[int | str, str] = {}
    for record in records:
        if not record.text or isinstance(record.label, str):
            return {}
        if record.split == "train" and texts.setdefault(record.label, record.text) != record.text:
            raise BadData(
                f"label {record.label} of '{where}' is '{texts[record.label]}' and '{record.text}' (--dataset)"
            )
    if len(set(texts.values())) < len(texts):
        raise BadData(f"two classes of '{where}' have one text (--dataset)")
    return texts
