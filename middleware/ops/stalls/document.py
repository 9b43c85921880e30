"""`/stalls`: one document that needs nothing from anywhere else, and fetches what is new itself."""

from base64 import b64encode
from functools import cached_property
from hashlib import sha256
from importlib.resources import files

from ...asgi import Scope
from ..answers import Answer
from .listing import Listing

_SCRIPTS = ("words.js", "strip.js", "flame.js", "details.js", "page.js")
_PLACE = "{{listing}}"


class Document:
    """With the list as it is now inside, so that there is something to see at once."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    async def answer(self, scope: Scope) -> Answer:
        """The page."""
        before, after, policy = self._parts
        # Inside a script element, and the names in it may be anything.
        listing = (await self._listing.text(brief=True)).replace("<", "\\u003c")
        html = f"{before}{listing}{after}".encode()
        return Answer(200, "text/html; charset=utf-8", html, {"Content-Security-Policy": policy})

    @cached_property
    def _parts(self) -> tuple[str, str, str]:
        """What stands before and after the list, and what of it a browser may run."""
        style = _read("page.css")
        script = "".join(map(_read, _SCRIPTS))
        html = _read("page.html").replace("{{style}}", style).replace("{{script}}", script)
        before, _, after = html.partition(_PLACE)
        policy = (
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)};"
            " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
            " frame-ancestors 'none'"
        )
        return before, after, policy


def _read(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
