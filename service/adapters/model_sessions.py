"""What a loaded model can do, wherever it runs: here, or on a remote server."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from service.adapters.model_folders import ModelFolder
from service.predictions.domain import Array


class Session(Protocol):
    """A model that computes. It is dropped, not closed, when nobody needs it any longer."""

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Compute one batch; every input and output has the rows on its first axis.

        It blocks, and worker threads call it, several at once; the batch's span is the current one
        if it is sampled. Raises ModelInputError when the inputs are the reason, else
        ModelUnavailableError.
        """


# On a thread, never the event loop. Raises ModelFolderError when nothing can be made of the files,
# ModelUnavailableError when what computes it is not there.
OpenSession: TypeAlias = Callable[[ModelFolder], Session]
