"""What the demo tells a person: what to open, and what is to be seen there."""

from service.demo.addresses import Addresses
from service.demo.monitoring import Monitoring

_Line = tuple[str, tuple[str, ...]]


def guide(addresses: Addresses, dsn: str, monitoring: Monitoring) -> str:
    """The text shown once everything runs."""
    api, ops = addresses.api.url, addresses.ops.url
    lines: tuple[_Line, ...] = (
        ("Look at a product, put together from PostgreSQL and two upstream APIs:", ()),
        (f"  curl -s {api}/v1/product/1/enriched", ("`sources` says how each part came about",)),
        ("Ask the models:", ()),
        (_sentiment_line(api), ("what a text says",)),
        (f"  curl -s '{api}/v1/product/1/enriched?include=review_sentiment'", ("and reviews",)),
        ("Open:", ()),
        (f"  {api}/docs", ("the API, to read and to try",)),
        (f"  {api}/health", ("for load balancers: cheap, touches nothing",)),
        (f"  {ops}/readyz", ("which dependencies are there",)),
        (f"  {ops}/metrics", ("what Prometheus reads",)),
        (f"  {ops}/stalls", ("what blocks the event loop; nothing, unless something is wrong",)),
        *_watchers_lines(monitoring),
        ("Block the event loop:", ()),
        (f"  curl -s '{api}/fault/block?seconds=3'", (_told_of_a_stall(ops, monitoring),)),
        ("Break a source, look at a product nobody has asked for (9001, 9002 …), and mend it:", ()),
        (_behaviour_line(addresses.reviews.url, "hang"), ("sources.reviews: timeout",)),
        (_behaviour_line(addresses.reviews.url, "ok"), ()),
        (_behaviour_line(addresses.inventory.url, "error"), ("sources.inventory: bad_response",)),
        ("  (ok, error, hang, reset, garbage, wrong_type, drip, endless, too_many_requests)", ()),
        ("The database:", ()),
        (f"  psql '{dsn}'", ("10,000 products",)),
    )
    return "\n".join("  → ".join((line, *remark)) for line, remark in lines)


def _watchers_lines(monitoring: Monitoring) -> tuple[_Line, ...]:
    places, running = monitoring.places, monitoring.running
    offered = (
        (places.preview, f"  {places.preview.url}/dashboards", "drawn from what Prometheus knows"),
        (places.prometheus, f"  {places.prometheus.url}/alerts", "the alerts, and their rules"),
        (places.alertmanager, f"  {places.webhook.url}", "alerts received, also printed here"),
    )
    return tuple((line, (remark,)) for place, line, remark in offered if place in running)


def _told_of_a_stall(ops: str, monitoring: Monitoring) -> str:
    named = f"{ops}/stalls names the line"
    if not monitoring.receives_alerts:
        return named
    return f"{named}; in 10 s EventLoopBlocked pages, in 7 minutes it is resolved"


def _sentiment_line(url: str) -> str:
    kind = "-H 'Content-Type: application/json'"
    asked = """-d '{"texts": ["It boils in no time."]}'"""
    return f"  curl -s {url}/v1/predict/sentiment {kind} {asked}"


def _behaviour_line(url: str, mode: str) -> str:
    return f"""  curl -s -X PUT {url}/behaviour -d '{{"mode": "{mode}"}}'"""
