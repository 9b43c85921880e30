"""The pages about stalls, by their paths."""

from collections.abc import Callable

from ...asgi import Scope
from ...settings import StallSettings
from ...stall.culprit import Territory
from ...stall.history import StallHistory
from ...stall.record import Stall
from ..answers import Answer, Page, json_answer, problem
from .described import Description
from .document import Document
from .formats import folded_text, speedscope_profile
from .listing import Listing

_OFF = "Stall detection is switched off: OBSERVABILITY__STALLS=true switches it on."


def stall_pages(history: StallHistory | None, settings: StallSettings) -> dict[str, Page]:
    """The list, as a page and as JSON, and below `/stalls/` what is known of each one."""
    kept = StallHistory("off", [_OFF]) if history is None else history
    description = Description(settings, Territory.here())
    listing = Listing(kept, description)
    return {
        "/stalls": Page(Document(listing).answer, "who blocked the event loop, and who waited"),
        "/stalls.json": Page(listing.answer, "the same, for programs"),
        "/stalls/*": Page(_Files(kept, description).answer, "one stall: .json, .folded, …"),
    }


class _Files:
    def __init__(self, history: StallHistory, description: Description) -> None:
        self._history = history
        # By how the file's name ends; the longer ending first.
        self._kinds: dict[str, Callable[[Stall], Answer]] = {
            ".speedscope.json": lambda stall: json_answer(speedscope_profile(stall)),
            ".json": lambda stall: json_answer(description.whole(stall)),
            ".folded": lambda stall: Answer(
                200, "text/plain; charset=utf-8", folded_text(stall).encode(errors="replace")
            ),
        }

    async def answer(self, scope: Scope) -> Answer:
        """What is known of the stall that the path names."""
        name = scope["path"].rpartition("/")[2]
        for ending, answer in self._kinds.items():
            if name.endswith(ending) and (stall := self._history.find(name.removesuffix(ending))):
                return _named(answer(stall), f"stall-{name}", download=ending != ".json")
        kinds = ", ".join(self._kinds)
        return problem(404, f"No such stall among the last ones, or none of {kinds}.")


def _named(answer: Answer, name: str, *, download: bool) -> Answer:
    if not download:
        return answer
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(answer.status, answer.content_type, answer.body, disposition)
