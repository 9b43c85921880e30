"""Async in every line and concurrent in none: a connection and a session per request, no cache."""

import json
import os
import time
from typing import Any

import aiohttp
import asyncpg
from fastapi import FastAPI, HTTPException

DATABASE_URL = os.environ["DATABASE_URL"]
REVIEWS_URL, INVENTORY_URL = os.environ["REVIEWS_URL"], os.environ["INVENTORY_URL"]

app = FastAPI()


async def product_of(product_id: int) -> dict[str, Any] | None:
    connection = await asyncpg.connect(DATABASE_URL)
    try:
        row = await connection.fetchrow("SELECT * FROM products WHERE id = $1", product_id)
    finally:
        await connection.close()
    if row is None:
        return None
    product = dict(row)
    amount, currency = product.pop("price_amount"), product.pop("price_currency")
    product["price"] = {"amount": str(amount), "currency": currency}
    product["rating"] = float(product["rating"])
    product["attributes"] = json.loads(product["attributes"])
    return product


async def fetch_or(url: str, fallback: Any) -> Any:
    try:
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            response.raise_for_status()
            return await response.json()
    except (TimeoutError, aiohttp.ClientError):
        return fallback


@app.get("/product/{product_id}/enriched")
async def enriched(product_id: int) -> dict[str, Any]:
    started = time.perf_counter()
    product = await product_of(product_id)
    if product is None:
        raise HTTPException(404)
    product["reviews"] = await fetch_or(f"{REVIEWS_URL}/products/{product_id}/reviews", [])
    product["inventory"] = await fetch_or(f"{INVENTORY_URL}/products/{product_id}", {})
    product["processing_time_ms"] = (time.perf_counter() - started) * 1000
    return product
