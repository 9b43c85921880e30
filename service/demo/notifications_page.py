"""The notifications as a page: what came, and where it leads."""

from collections.abc import Iterable
from html import escape

from service.demo.notifications import Alert, Received

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width">
<title>Alerts received</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem }}
article {{ border-left: .3rem solid #999; margin: 1rem 0; padding: 0 1rem }}
.firing.page {{ border-color: #c4162a }}
.firing.ticket {{ border-color: #e0a800 }}
.resolved {{ border-color: #37872d }}
h2 {{ font-size: 1.1rem; margin: 0 }}
p {{ margin: 0 }}
small {{ color: #666 }}
</style>
<h1>Alerts received</h1>
{articles}
</html>
"""
_NOTHING = "<p>Nothing yet. Alertmanager tells of what fires, and of its end.</p>"
_ARTICLE = """\
<article class="{status} {severity}">
<h2>{severity} {status}: {name}</h2>
<p>{summary}</p>
<p>{description}</p>
<p>{links}</p>
<small>{receiver}, <time>{received_at}</time></small>
</article>"""
_LINKS = {"dashboard_url": "Dashboard", "runbook_url": "Runbook"}


def page_of(received: Iterable[Received]) -> str:
    """The page's HTML; everything in it that was received is escaped."""
    articles = [_article(each, alert) for each in received for alert in each.alerts]
    return _PAGE.format(articles="\n".join(articles) or _NOTHING)


def _article(received: Received, alert: Alert) -> str:
    texts = {
        "name": alert.name,
        "status": alert.status,
        "severity": alert.severity,
        "summary": alert.annotations.get("summary", ""),
        "description": alert.annotations.get("description", ""),
        "receiver": received.receiver,
        "received_at": f"{received.received_at:%Y-%m-%d %H:%M:%S} UTC",
    }
    escaped = {name: escape(text) for name, text in texts.items()}
    return _ARTICLE.format(links=_links(alert), **escaped)


def _links(alert: Alert) -> str:
    return " · ".join(
        f'<a href="{escape(url)}">{text}</a>'
        for annotation, text in _LINKS.items()
        # A link of another scheme could be a script.
        if (url := alert.annotations.get(annotation, "")).startswith(("http://", "https://"))
    )
