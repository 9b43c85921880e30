"""The wire: one module per feature, and the problems. Needs pydantic, nothing else."""

from service.contracts.health import Health
from service.contracts.problems import FieldFault, Problem
from service.contracts.products import (
    EnrichedProduct,
    Inventory,
    Price,
    ProductFacts,
    Review,
    SourceReport,
    Warehouse,
)

__all__ = [
    "EnrichedProduct",
    "FieldFault",
    "Health",
    "Inventory",
    "Price",
    "Problem",
    "ProductFacts",
    "Review",
    "SourceReport",
    "Warehouse",
]
