"""What a request is called in every line, header, span and report."""

from structlog.typing import EventDict

from ..exchange import Exchange, current_exchange


def identity(exchange: Exchange) -> dict[str, str]:
    """Request id, trace id and span id, the last two in hex as W3C Trace Context has them."""
    return {
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_hex,
        "span_id": exchange.span_hex,
    }


def add_identity(logger: object, method: str, event: EventDict) -> EventDict:
    """A structlog processor: the line says which request it belongs to, if it does to one."""
    exchange = current_exchange.get()
    return event if exchange is None else {**identity(exchange), **event}
