"""What is wrong with a data set: the error that every reader raises, and a file that cannot be used."""

from __future__ import annotations

import dataclasses
import re

ARGUMENTS = {"aa": "augmentation", "reprob": "erase", "crop_margin": "margin"}  # of flags that have another name


class BadData(ValueError):
    """The data set cannot be used; the message says what was received, what is allowed, which flag to change.

    Written with flags, which a command prints as `message`; as text, in Python, it names the arguments:

    >>> print(BadData("'a' needs 3 channels (--dataset); or change --image-size"))
    'a' needs 3 channels (dataset); or change image_size
    """

    exit_code = 2

    def __str__(self) -> str:
        def argument(flag: re.Match[str]) -> str:
            name = flag[1].replace("-", "_")
            return ARGUMENTS.get(name, name)

        return re.sub(r"(?<![\w-])--([a-z][a-z0-9-]*)", argument, self.message)

    @property
    def message(self) -> str:
        """The message with flags."""
        return super().__str__()


@dataclasses.dataclass(frozen=True)
class BadFile:
    """A file that cannot be used, and why."""

    path: str
    class_name: str  # "" if it has none
    reason: str
