"""Files of flags: YAML or JSON of a user's, or the config.json of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfcnn.config import Config
from tfcnn.errors import BadInput, choose, first_line
from tfcnn.flags import ELSEWHERE, FIELDS
from tfcnn.options import flag_of

LARGEST = 1_000_000  # bytes
OF_ONE_RUN = ("out", "resume")


def read_config(path: str) -> dict[str, Any]:
    """The fields of Config in a file.

    A run's config.json gives those of the run but for its directory, and the epochs that it had, not its `time`.

    Args:
        path: of a mapping from fields, or flags without their dashes, to values, in YAML, of which JSON is a part.

    Raises:
        BadInput: a file that cannot be read, that is no mapping, or that names what is no field.
    """
    content = _parse(path)
    if not isinstance(content, dict):
        raise BadInput(f"'{path}' must hold a mapping from flags to values, as 'epochs: 3' (--config)")
    is_run = isinstance(content.get("config"), dict) and "data" in content
    values = content["config"] if is_run else content
    flags: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if flag_of(name) in ELSEWHERE and name not in FIELDS:
            raise BadInput(f"unknown flag '{key}': {ELSEWHERE[flag_of(name)]} (--config {path})")
        field = FIELDS[choose("flag", name, FIELDS, flag=f"--config {path}")]
        if field in flags:
            raise BadInput(f"'{path}' sets {field} twice, by {key} too: leave one out (--config)")
        flags[field] = value
    if is_run:
        return {name: value for name, value in flags.items() if name not in (*OF_ONE_RUN, "time")}
    if "resume" in flags:
        raise BadInput(f"'{path}' sets resume, which continues a run with its own settings: leave it out (--config)")
    return flags


def _loader() -> Any:
    """YAML's safe loader, which takes on, off, yes and no as text and refuses a key that occurs twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    raise ValueError(f"'{key}' occurs twice")
            return super().construct_mapping(node, deep)

    boolean = "tag:yaml.org,2002:bool"
    Loader.yaml_implicit_resolvers = {
        first: [each for each in resolvers if each[0] != boolean or first in "tTfF"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _parse(path: str) -> Any:
    import yaml

    file = Path(path)
    try:
        if file.is_dir():
            raise BadInput(f"'{path}' is a folder; of a run give its config.json (--config)")
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise BadInput(f"'{path}' cannot be read: {error.strerror or error} (--config)") from None
    if len(content) > LARGEST:
        raise BadInput(f"'{path}' has more than {LARGEST:,} bytes, and is no file of flags (--config)")
    try:
        return yaml.load(content, _loader())  # of SafeLoader: plain values alone
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        raise BadInput(f"'{path}' is not YAML: {first_line(error)} (--config)") from None


def describe_config(config: Config) -> str:
    """JSON that `read_config` takes: every field but those of one run."""
    fields = {name: value for name, value in config.to_dict().items() if name not in OF_ONE_RUN}
    if config.time is not None:
        del fields["epochs"]  # which the time decides
    return json.dumps(fields, indent=1)
