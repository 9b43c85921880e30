"""The enriched product as a Flask team writes it: pooled, threaded, one source after the other."""

import os
import time
from typing import Any

import requests
from flask import Flask, abort
from flask_caching import Cache
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from requests.adapters import HTTPAdapter

THREADS = int(os.environ["THREADS"])
CACHE_SECONDS = int(os.environ.get("CACHE_SECONDS", "0"))
REVIEWS_URL, INVENTORY_URL = os.environ["REVIEWS_URL"], os.environ["INVENTORY_URL"]

app = Flask(__name__)
cache = Cache(
    app,
    config={
        "CACHE_TYPE": "RedisCache" if CACHE_SECONDS else "NullCache",
        "CACHE_REDIS_URL": os.environ["REDIS_URL"],
        "CACHE_DEFAULT_TIMEOUT": CACHE_SECONDS,
        "CACHE_NO_NULL_WARNING": True,
    },
)
pool = ConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=4,
    max_size=THREADS,
    kwargs={"row_factory": dict_row, "autocommit": True},  # no BEGIN and COMMIT round trips
    open=True,
)
http = requests.Session()
http.trust_env = False  # else every call searches the environment and ~/.netrc for a proxy's name
http.mount("http://", HTTPAdapter(pool_connections=4, pool_maxsize=THREADS))


def product_of(product_id: int) -> dict[str, Any] | None:
    with pool.connection() as connection:
        row = connection.execute("SELECT * FROM products WHERE id = %s", (product_id,)).fetchone()
    if row is None:
        return None
    row["price"] = {
        "amount": str(row.pop("price_amount")),
        "currency": row.pop("price_currency"),
    }
    row["rating"] = float(row["rating"])
    row["created_at"] = row["created_at"].isoformat()
    row["updated_at"] = row["updated_at"].isoformat()
    return row


def fetch_or(url: str, fallback: Any) -> Any:
    try:
        response = http.get(url, timeout=2)
        response.raise_for_status()
        return response.json()
    except requests.RequestException:
        return fallback


@cache.memoize()
def enrich(product_id: int) -> dict[str, Any] | None:
    product = product_of(product_id)
    if product is None:
        return None
    product["reviews"] = fetch_or(f"{REVIEWS_URL}/products/{product_id}/reviews", [])
    product["inventory"] = fetch_or(f"{INVENTORY_URL}/products/{product_id}", {})
    return product


@app.get("/product/<int:product_id>/enriched")
def enriched(product_id: int) -> dict[str, Any]:
    started = time.perf_counter()
    product = enrich(product_id)
    if product is None:
        abort(404)
    return {**product, "processing_time_ms": (time.perf_counter() - started) * 1000}
