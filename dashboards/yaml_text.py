"""YAML as it is committed: sorted, so that it changes only where something has changed."""

import yaml

_HEADER = "# Written by `make dashboards`; never edited.\n"


def yaml_of(document: object) -> str:
    """The text of a generated file."""
    return _HEADER + yaml.safe_dump(document, sort_keys=True, allow_unicode=True, width=100)
