"""The view, its sources one after the other, and Django's own cache in front of them."""

import os
import time
from typing import Any

import requests
from django.conf import settings
from django.core.cache import cache
from django.http import Http404, HttpRequest, JsonResponse
from requests.adapters import HTTPAdapter

from .models import Product

REVIEWS_URL, INVENTORY_URL = os.environ["REVIEWS_URL"], os.environ["INVENTORY_URL"]
http = requests.Session()
http.trust_env = False  # else every call searches the environment and ~/.netrc for a proxy's name
http.mount("http://", HTTPAdapter(pool_connections=4, pool_maxsize=int(os.environ["THREADS"])))


def facts_of(product: Product) -> dict[str, Any]:
    return {
        "id": product.id,
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "category": product.category,
        "brand": product.brand,
        "price": {"amount": str(product.price_amount), "currency": product.price_currency},
        "rating": float(product.rating),
        "attributes": product.attributes,
        "created_at": product.created_at,
        "updated_at": product.updated_at,
    }


def fetch_or(url: str, fallback: Any) -> Any:
    try:
        response = http.get(url, timeout=2)
        response.raise_for_status()
        return response.json()
    except requests.RequestException:
        return fallback


def enrich(product_id: int) -> dict[str, Any]:
    try:
        facts = facts_of(Product.objects.get(pk=product_id))
    except Product.DoesNotExist as error:
        raise Http404 from error
    facts["reviews"] = fetch_or(f"{REVIEWS_URL}/products/{product_id}/reviews", [])
    facts["inventory"] = fetch_or(f"{INVENTORY_URL}/products/{product_id}", {})
    return facts


def enriched(_request: HttpRequest, product_id: int) -> JsonResponse:
    started = time.perf_counter()
    key = f"product:{product_id}"
    facts = cache.get(key)
    if facts is None:
        facts = enrich(product_id)
        cache.set(key, facts, settings.CACHE_SECONDS)
    elapsed_ms = (time.perf_counter() - started) * 1000
    return JsonResponse({**facts, "processing_time_ms": elapsed_ms})
