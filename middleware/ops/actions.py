"""What an app lets be done to it at the ops port, by POST: run on the app's own loop.

A page of another site may make a visitor's browser send a POST to this port, too; browsers then say
where it comes from, and it is refused.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import parse_qsl

from ..asgi import Scope
from ..health import Health
from .answers import Answer, json_answer, problem

Action = Callable[[Mapping[str, str]], Coroutine[Any, Any, object]]

_SECONDS = 60.0


class RefusedError(Exception):
    """The action is not possible now; the message says why."""


class Actions:
    """Runs `actions`, which the app may fill while it starts; each is found by its path.

    It gets the query's parameters, and gives what is answered as JSON.
    """

    def __init__(self, actions: Mapping[str, Action], health: Health) -> None:
        self._actions, self._health = actions, health

    def __contains__(self, path: str) -> bool:
        return path in self._actions

    async def answer(self, scope: Scope) -> Answer:
        """200 with what came of it, 409 when it is refused, 504 when it takes too long."""
        if any(name == b"origin" for name, _ in scope["headers"]):
            return problem(403, "Not from a web page, please.")
        loop = self._health.loop
        if loop is None:
            return problem(503, "The app's event loop does not run yet.")
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        action = self._actions[scope["path"]]

        work = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(action(asked), loop))
        try:
            return json_answer(await asyncio.wait_for(work, _SECONDS))
        except RefusedError as error:
            return problem(409, str(error))
        except TimeoutError:
            return problem(504, f"No answer within {_SECONDS} s; it may go on.")
