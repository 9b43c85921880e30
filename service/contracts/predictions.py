"""`/predict…` and `/models/status`: what goes to models, what they answer, which there are."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

_EXAMPLE_FEATURES = [14.2, 19.1, 92.3, 640.1, 0.097, 0.106, 0.091, 0.05, 0.181, 0.0628]

Probability = Annotated[float, Field(ge=0, le=1)]
Warnings = Annotated[
    list[str],
    Field(
        exclude_if=lambda warnings: not warnings,
        description="Why the answer deserves less trust than its confidence; else absent.",
    ),
]


# What is white space differs between the languages that read the schema: this is in all of them.
_SAID = re.compile(r"[^\s\ufeff\u0085\u001c-\u001f]")


def _says_something(text: str) -> str:
    if not _SAID.search(text):
        raise ValueError("says nothing: it is empty or only white space")
    return text


_MOST_FIELDS = 100


def _whole(number: Any) -> Any:
    # To JSON Schema 8.0 is an integer; a text or a truth is none.
    return int(number) if isinstance(number, float) and number.is_integer() else number


class _Wire(BaseModel):
    # Pydantic keeps names that begin with `model_` to itself; the contract has `model_version`.
    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _is_no_flood(cls, given: Any) -> Any:
        # Each unknown field would be a fault of its own: 50,000 take a third of a second to list.
        if isinstance(given, dict) and len(given) > _MOST_FIELDS:
            raise ValueError(f"has more than {_MOST_FIELDS} fields")
        return given


class PredictionRequest(_Wire):
    """Ten mean features of cell nuclei, in the order and raw units of the Wisconsin data."""

    features: list[Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]] = Field(
        min_length=10, max_length=10, examples=[_EXAMPLE_FEATURES]
    )
    model_version: str = Field(default="v1.0", max_length=64, examples=["v1.0"])
    confidence_threshold: Annotated[float, Field(ge=0, le=1, strict=True)] | None = Field(
        default=0.5,
        description="Below it the answer is `uncertain`; null: never.",
        examples=[0.5],
    )


class PredictionAnswer(_Wire):
    """`positive` is malignant. Not for clinical use."""

    prediction: Literal["positive", "negative", "uncertain"]
    confidence: Probability = Field(description="Probability of the likelier class.")
    model_version: str
    timestamp: datetime
    processing_time_ms: float = Field(ge=0)
    warnings: Warnings = []


class SentimentRequest(_Wire):
    """Texts in English."""

    texts: list[
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=10_000),
            AfterValidator(_says_something),
            Field(json_schema_extra={"pattern": _SAID.pattern}),
        ]
    ] = Field(min_length=1, max_length=100, examples=[["It boils quickly, and I love the sound."]])
    return_probabilities: bool = Field(default=False, strict=True, examples=[True])
    batch_size: Annotated[int, BeforeValidator(_whole)] = Field(
        default=8, ge=1, le=32, strict=True, description="At most so many are computed together."
    )


class TextSentiment(_Wire):
    """What one text says, in the order of the request."""

    text: str
    sentiment: Literal["positive", "negative"]
    confidence: Probability
    probabilities: dict[Literal["negative", "positive"], Probability] | None = Field(
        description="By class; null unless they were asked for."
    )
    warnings: Warnings = []


class SentimentAnswer(_Wire):
    """One answer per text."""

    predictions: list[TextSentiment]
    total_processed: int = Field(ge=1)
    processing_time_ms: float = Field(ge=0)


class ImageAnswer(_Wire):
    """What is to be seen; `unsure` when it is nothing that the model has learnt."""

    filename: str
    image_size: tuple[int, int] = Field(description="Width and height as displayed, in pixels.")
    predicted_class: str = Field(examples=["Sneaker"])
    confidence: Probability


class ModelStatus(_Wire):
    """One model: the version that answers when none is asked for, and how the others are."""

    version: str | None = Field(description="Null while none is loaded.")
    loaded: bool
    versions: dict[str, str] = Field(
        description="Each version's role: current, candidate, previous, available, loading, refused"
    )
    metrics: dict[str, float] = Field(description="Measured on data kept back from training.")
    fault: str | None = Field(description="Why it is not loaded, or a new version was refused.")


class ModelsStatus(_Wire):
    """All models."""

    models_loaded: int = Field(ge=0)
    available_models: list[str]
    status: Literal["healthy", "loading"]
    models: dict[str, ModelStatus]
