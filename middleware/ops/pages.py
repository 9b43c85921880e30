"""Which pages the ops port has: a new one is a line here."""

import os
from collections.abc import Collection, Mapping
from html import escape

from ..asgi import Scope
from ..exchange import Exchange
from ..health import Health
from .answers import Answer, Page
from .exposition import Exposition
from .in_flight import InFlight
from .probes import Probes

_INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Ops port</title>
<style>body {{ font: 16px system-ui; margin: 2rem }} td {{ padding: .2rem 1rem .2rem 0 }}</style>
</head><body><h1>Ops port</h1><p>Process {pid} is <strong>{phase}</strong>.</p>
<table>{rows}</table></body></html>
"""


def ops_pages(
    exposition: Exposition,
    health: Health,
    in_flight: Collection[Exchange],
    stalls: Mapping[str, Page],
) -> dict[str, Page]:
    """Every page, by its path; `stalls` are those of the stall detector."""
    probes = Probes(health)
    pages = {
        "/metrics": Page(exposition.answer, "metrics, as Prometheus reads them"),
        "/livez": Page(probes.livez, "whether the event loop is alive", public=True),
        "/readyz": Page(probes.readyz, "whether requests are welcome, check by check", public=True),
        "/inflight": Page(InFlight(in_flight).answer, "requests in progress, and where they wait"),
        **stalls,
    }

    async def index(scope: Scope) -> Answer:
        rows = "".join(
            f'<tr><td><a href="{escape(path)}">{escape(path)}</a></td>'
            f"<td>{escape(page.shows)}</td></tr>"
            for path, page in pages.items()
            if not path.endswith("*")
        )
        html = _INDEX.format(pid=os.getpid(), phase=escape(health.phase), rows=rows)
        return Answer(200, "text/html; charset=utf-8", html.encode())

    return {"/": Page(index, "this page"), **pages}
