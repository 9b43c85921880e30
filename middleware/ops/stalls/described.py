"""One stall as JSON: its facts, what they mean, and where there is more about it."""

from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from ...settings import StallSettings
from ...stall.culprit import Territory
from ...stall.explain import explanation, remedy
from ...stall.record import Frame, Stall
from .formats import NumberedFrames, samples_of

_ONLY_WHEN_OPENED = ("stack", "victims")


class Description:
    """Of whatever stall; `settings` say where traces and logs are to be found."""

    def __init__(self, settings: StallSettings, territory: Territory) -> None:
        self._links = {"trace": settings.trace_url, "logs": settings.logs_url}
        self._territory = territory

    def facts(self, stall: Stall) -> dict[str, Any]:
        """As `/stalls.json` lists it."""
        return {**stall.facts(), "explanation": explanation(stall)}

    def brief(self, stall: Stall) -> dict[str, Any]:
        """What the page shows of one that is not open."""
        facts = self.facts(stall)
        return {name: fact for name, fact in facts.items() if name not in _ONLY_WHEN_OPENED}

    def whole(self, stall: Stall) -> dict[str, Any]:
        """All there is; `folded` counts stacks, outermost first, as numbers of `frames`."""
        numbers = NumberedFrames()
        folded = [
            {"stack": numbers.of(stack), "count": count} for stack, count in samples_of(stall)
        ]
        return {
            **self.facts(stall),
            "remedy": remedy(stall.cause, stall.system_call),
            "links": self._links_of(stall),
            "stack": [self._line(frame) for frame in stall.stack],
            "frames": [self._place(frame) for frame in numbers.listed],
            "folded": folded,
        }

    def _place(self, frame: Frame) -> dict[str, Any]:
        return {**asdict(frame), "application": self._territory.is_application(frame.file)}

    def _line(self, frame: Frame) -> dict[str, Any]:
        return {**self._place(frame), "source_line": frame.source_line}

    def _links_of(self, stall: Stall) -> dict[str, str]:
        known = {"trace_id": stall.trace_id, "request_id": stall.request_id, "id": stall.id}
        links = {name: _filled_in(url, known) for name, url in self._links.items() if url}
        return {name: link for name, link in links.items() if link}


def _filled_in(url: str, known: dict[str, str | None]) -> str | None:
    """None when the URL needs what is not known. Not `format`: Grafana's URLs hold JSON."""
    for name, fact in known.items():
        place = f"{{{name}}}"
        if place in url:
            if fact is None:
                return None
            url = url.replace(place, quote(fact, safe=""))
    return url
