"""The wire: one module per feature, and the problems. Needs pydantic, nothing else."""

from service.contracts.health import Health
from service.contracts.predictions import (
    ImageAnswer,
    ModelsStatus,
    ModelStatus,
    PredictionAnswer,
    PredictionRequest,
    SentimentAnswer,
    SentimentRequest,
    TextSentiment,
)
from service.contracts.problems import FieldFault, Problem
from service.contracts.products import (
    EnrichedProduct,
    Inventory,
    Price,
    ProductFacts,
    Review,
    ReviewSentiment,
    SourceReport,
    Warehouse,
)

__all__ = [
    "EnrichedProduct",
    "FieldFault",
    "Health",
    "ImageAnswer",
    "Inventory",
    "ModelStatus",
    "ModelsStatus",
    "PredictionAnswer",
    "PredictionRequest",
    "Price",
    "Problem",
    "ProductFacts",
    "Review",
    "ReviewSentiment",
    "SentimentAnswer",
    "SentimentRequest",
    "SourceReport",
    "TextSentiment",
    "Warehouse",
]
