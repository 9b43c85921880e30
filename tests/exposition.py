"""Series, as a page of metrics shows them."""

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def samples_in(text: str, name: str, **labels: str) -> list[Sample]:
    """Those of that name which have these labels; the other hundreds are not taken apart."""
    lines = (line for line in text.splitlines(keepends=True) if line.startswith(name))
    return [
        sample
        for family in text_string_to_metric_families("".join(lines))
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def value_in(text: str, name: str, **labels: str) -> float:
    """The value of the first of them, 0 when there is none."""
    return next((float(sample.value) for sample in samples_in(text, name, **labels)), 0.0)
