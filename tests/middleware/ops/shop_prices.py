"""Lines that stalls are found at: an application that fetches rates as one should not."""

import time


def list_prices(currency: str) -> list[float]:
    """The handler."""
    rates = fetch_rates(currency)
    return [convert(price, rates) for price in (1.0, 2.5)]


def fetch_rates(currency: str) -> dict[str, float]:
    """Blocks."""
    time.sleep(0.3)
    return {currency: 1.1}


def convert(price: float, rates: dict[str, float]) -> float:
    """Computes."""
    return rounded(sum(price * rate for rate in rates.values()))


def rounded(price: float) -> float:
    """Computes, too."""
    return round(price, 2)
