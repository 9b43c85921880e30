"""The demo's 10,000 products: the same bytes on every run and every Python.

Only `Random.random()` is used: the one method whose sequence Python promises to keep.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import asyncpg

from service.demo.answers import pick

Row = tuple[Any, ...]

COLUMNS = (
    "id", "sku", "name", "description", "category", "brand", "price_amount", "price_currency",
    "rating", "attributes", "created_at", "updated_at",
)  # fmt: skip
_FIRST_DAY = datetime(2023, 1, 1, 8, tzinfo=UTC)

# Category: prefix of the sku, things, materials, lowest price, attributes of its own.
_CATEGORIES: dict[
    str, tuple[str, tuple[str, ...], tuple[str, ...], int, dict[str, tuple[Any, ...]]]
]
_CATEGORIES = {
    "kitchen": (
        "KIT", ("Chef's Knife", "Stand Mixer", "Kettle", "Casserole", "Coffee Grinder"),
        ("stainless steel", "cast iron", "beech", "borosilicate glass"), 12,
        {"dishwasher_safe": (True, False), "capacity_ml": (250, 500, 1200, 4500)},
    ),
    "garden": (
        "GAR", ("Pruning Shears", "Watering Can", "Hand Trowel", "Planter", "Rake"),
        ("galvanised steel", "ash", "terracotta", "recycled plastic"), 8,
        {"frost_proof": (True, False)},
    ),
    "office": (
        "OFF", ("Desk Lamp", "Monitor Arm", "Notebook", "Chair", "Document Tray"),
        ("aluminium", "oak", "felt", "recycled paper"), 5, {"warranty_years": (2, 3, 5)},
    ),
    "audio": (
        "AUD", ("Headphones", "Bookshelf Speaker", "Turntable", "Microphone", "DAB Radio"),
        ("walnut", "aluminium", "ABS"), 39,
        {"wireless": (True, False), "impedance_ohm": (4, 8, 16, 32, 80)},
    ),
    "lighting": (
        "LIG", ("Floor Lamp", "Pendant", "Wall Light", "Reading Lamp", "Lantern"),
        ("brass", "opal glass", "linen", "paper"), 19,
        {"lumen": (250, 470, 806, 1521), "colour_temperature_k": (2200, 2700, 3000, 4000)},
    ),
    "outdoor": (
        "OUT", ("Tent", "Rucksack", "Sleeping Mat", "Camping Stove", "Head Torch"),
        ("ripstop nylon", "titanium", "merino wool"), 24,
        {"waterproof_mm": (1500, 3000, 10000), "persons": (1, 2, 3, 4)},
    ),
    "toys": (
        "TOY", ("Marble Run", "Wooden Train", "Puzzle", "Building Blocks", "Kite"),
        ("beech", "maple", "cotton", "card"), 9, {"age_from": (1, 3, 5, 8, 12)},
    ),
    "sports": (
        "SPO", ("Yoga Mat", "Kettlebell", "Skipping Rope", "Football", "Tennis Racket"),
        ("natural rubber", "cast iron", "leather", "graphite"), 11,
        {"level": ("beginner", "intermediate", "professional")},
    ),
    "tools": (
        "TOO", ("Cordless Drill", "Spirit Level", "Socket Set", "Hand Plane", "Clamp"),
        ("chrome vanadium", "hornbeam", "die-cast zinc"), 14, {"pieces": (1, 4, 12, 46, 108)},
    ),
    "textiles": (
        "TEX", ("Bath Towel", "Throw", "Duvet Cover", "Cushion", "Apron"),
        ("organic cotton", "linen", "lambswool", "hemp"), 15,
        {"washable_celsius": (30, 40, 60), "organic": (True, False)},
    ),
    "bicycles": (
        "BIC", ("City Bike", "Pannier", "Floor Pump", "Helmet", "Bell"),
        ("chromoly steel", "aluminium", "carbon fibre"), 10,
        {"wheel_inches": (20, 26, 28), "gears": (1, 3, 8, 11)},
    ),
    "stationery": (
        "STA", ("Fountain Pen", "Sketchbook", "Ink", "Pencil Case", "Ruler"),
        ("brass", "resin", "cotton paper", "leather"), 4,
        {"nib": ("EF", "F", "M", "B"), "refillable": (True, False)},
    ),
}  # fmt: skip
_BRANDS = (
    "Aldwerk", "Birkholm", "Castellan", "Dovetail & Co", "Eskil", "Fjordline", "Grünhaus",
    "Halden", "Iversund", "Juniper Row", "Kestrel", "Lumenta", "Møller", "Northgate",
)  # fmt: skip
_STYLES = ("Classic", "Compact", "Everyday", "Heritage", "Light", "Nord", "Pro", "Studio")
_COLOURS = ("black", "chalk", "forest green", "graphite", "natural", "ochre", "petrol", "rust")
_FINISHES = ("matt", "polished", "brushed", "hand-finished", "oiled")
_SENTENCES = (
    "Made in small batches and checked by hand.",
    "Every part that wears can be replaced.",
    "It comes with a spare set and clear instructions.",
    "Packed without plastic.",
    "Designed to be repaired, not replaced.",
    "A favourite of our customers for years.",
)


async def fill_products(connection: asyncpg.Connection, count: int = 10_000) -> int:
    """Make the products 1 to `count` the demo's; rows written, 0 when they already were.

    One transaction: readers see the old rows or the new ones. Products beyond `count` stay.
    `connection` has asyncpg's own codecs, so that jsonb is text.
    """
    rows = product_rows(count)
    async with connection.transaction():
        await connection.execute("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")
        found = await connection.fetch(
            f"SELECT {', '.join(COLUMNS)} FROM products WHERE id <= $1 ORDER BY id", count
        )
        if [_comparable(tuple(row)) for row in found] == [_comparable(row) for row in rows]:
            return 0
        await connection.execute("DELETE FROM products WHERE id <= $1", count)
        await connection.copy_records_to_table("products", records=rows, columns=COLUMNS)
    return len(rows)


def product_rows(count: int) -> list[Row]:
    """The products 1 to `count`, values in the order of COLUMNS."""
    random = Random(20230101)
    return [_product(random, product_id) for product_id in range(1, count + 1)]


def _product(random: Random, product_id: int) -> Row:
    category = pick(random, tuple(_CATEGORIES))
    prefix, things, materials, lowest_price, own_attributes = _CATEGORIES[category]
    thing, style, material = pick(random, things), pick(random, _STYLES), pick(random, materials)
    brand, colour = pick(random, _BRANDS), pick(random, _COLOURS)
    attributes = {
        "colour": colour,
        "material": material,
        "weight_g": 20 * (1 + int(150 * random.random() ** 2)),
        "dimensions_mm": {side: 10 + int(900 * random.random()) for side in ("w", "h", "d")},
        **{name: pick(random, values) for name, values in own_attributes.items()},
    }
    created_at = _FIRST_DAY + timedelta(minutes=int(900_000 * random.random()))
    return (
        product_id,
        f"{prefix}-{product_id:06}",
        f"{brand} {thing} {style}",
        _description(random, thing, f"{colour} {material}"),
        category,
        brand,
        Decimal(lowest_price + int(lowest_price * 9 * random.random() ** 2)) - Decimal("0.10"),
        pick(random, ("EUR", "EUR", "EUR", "USD", "GBP")),
        Decimal(int(25 + 26 * random.random())) / 10,
        json.dumps(attributes),
        created_at,
        created_at + timedelta(minutes=int(300_000 * random.random())),
    )


def _description(random: Random, thing: str, made_of: str) -> str:
    first = f"{thing} in {made_of}, {pick(random, _FINISHES)}."
    start, more = int(len(_SENTENCES) * random.random()), int(3 * random.random())
    return " ".join((first, *(_SENTENCES * 2)[start : start + more]))


def _comparable(row: Row) -> Row:
    # PostgreSQL keeps jsonb in an order and spacing of its own.
    return tuple(
        json.loads(value) if name == "attributes" else value
        for name, value in zip(COLUMNS, row, strict=True)
    )
