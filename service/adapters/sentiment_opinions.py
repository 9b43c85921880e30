"""The products' port `Sentiment`, on the predictions' use case."""

from collections.abc import Sequence

from service.predictions.domain import (
    DeadlineExceededError,
    ModelNotFoundError,
    ModelNotLoadedError,
    ModelUnavailableError,
    QueueFullError,
)
from service.predictions.predictor import Predictor
from service.products.domain import Reason
from service.products.ports import SourceError

_POSITIVE = "positive"
# Longer than a request waits: what it did not wait for is there for the next one.
_SECONDS = 5.0


class ModelSentiment:
    """Asks the sentiment model, after all those who wait for a prediction."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def positive_share(self, texts: Sequence[str]) -> float:
        """The share of texts that praise. Raises SourceError."""
        try:
            opinions = await self._predictor.opinions(texts, within_seconds=_SECONDS)
        except (DeadlineExceededError, QueueFullError) as error:
            raise SourceError(Reason.TIMEOUT) from error
        except (ModelNotLoadedError, ModelNotFoundError, ModelUnavailableError) as error:
            raise SourceError(Reason.UNREACHABLE) from error
        return sum(each.label == _POSITIVE for each in opinions) / len(opinions)
