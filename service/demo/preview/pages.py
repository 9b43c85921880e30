"""The preview's HTML; a board's page is an empty frame which its scripts fill from the JSON."""

from collections.abc import Iterable, Mapping
from html import escape

HEADERS = {
    # uPlot places its parts by style properties, which this allows; there is no inline script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
RUNBOOKS = "/public/runbooks"

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<link rel="icon" href="data:,">
<title>{title}</title>
<link rel="stylesheet" href="/static/style.css">
{head}
</head>
<body>
{body}
</body>
</html>
"""
_BOARD_HEAD = """\
<link rel="stylesheet" href="/static/vendor/uPlot.min.css">
<script src="/static/vendor/uPlot.iife.min.js" defer></script>
<script src="/static/board.js" type="module"></script>"""
_BOARD = """\
<main id="board" data-uid="{uid}" data-state="loading" aria-busy="true">
<noscript><p class="banner">The preview draws the board with JavaScript.</p></noscript>
</main>"""
_TEXT = """\
<nav class="boards"><a href="/dashboards">Dashboards</a> <a href="{runbooks}">Runbooks</a></nav>
<main class="text">
{body}
</main>"""
_CARD = '<li><a href="/d/{uid}"><strong>{title}</strong><span>{description}</span></a></li>'


def board_page(board: Mapping[str, str]) -> str:
    """The frame of one board."""
    body = _BOARD.format(uid=escape(board["uid"]))
    return _PAGE.format(title=escape(board["title"]), head=_BOARD_HEAD, body=body)


def boards_page(boards: Iterable[Mapping[str, str]]) -> str:
    """All boards."""
    cards = [
        _CARD.format(
            **{name: escape(board[name] or "") for name in ("uid", "title", "description")}
        )
        for board in boards
    ]
    nothing = "<p>There are none in this checkout: <code>make dashboards</code> makes them.</p>"
    listed = f'<ul class="cards">{"".join(cards)}</ul>' if cards else nothing
    about = "<p>A preview of the Grafana boards, drawn from their JSON and live data.</p>"
    return _text_page("Dashboards", f"<h1>Dashboards</h1>{about}{listed}")


def runbook_page(name: str, html: str) -> str:
    """One runbook, already rendered."""
    return _text_page(name, f'<article class="runbook">{html}</article>')


def runbooks_page(introduction: str, names: Iterable[str]) -> str:
    """All runbooks, and how to read them."""
    links = [f'<li><a href="{RUNBOOKS}/{escape(n)}.md">{escape(n)}</a></li>' for n in names]
    listed = f'<ul class="names">{"".join(links)}</ul>'
    return _text_page("Runbooks", f'<article class="runbook">{introduction}</article>{listed}')


def error_page(title: str, explanation: str) -> str:
    """Why there is nothing here."""
    return _text_page(title, f"<h1>{escape(title)}</h1><p>{escape(explanation)}</p>")


def _text_page(title: str, body: str) -> str:
    return _PAGE.format(
        title=escape(title), head="", body=_TEXT.format(runbooks=f"{RUNBOOKS}/", body=body)
    )
