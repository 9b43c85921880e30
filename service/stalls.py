"""`stallscope stalls`: the stalls of a running service, read from its ops port."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings
from rich.console import Console
from rich.table import Table
from rich.text import Text

import middleware

_TIMEOUT_SECONDS = 10.0
_FOLLOW_SECONDS = 1.0
_COLORS = {
    "blocking_call": "bold red",
    "cpu": "bold yellow",
    "cpu_gil_held": "bold magenta",
    "gil_held_off_cpu": "bold magenta",
    "gil_wait_other_thread": "bold magenta",
}

Facts = dict[str, Any]


class AskingError(Exception):
    """The ops port gave no stalls; the message says why, and what to do."""


class _Access(BaseSettings):
    model_config = middleware.Settings.model_config

    ops_token: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class OpsPort:
    """Where to ask. Raises AskingError from every method."""

    url: str
    token: str | None

    @classmethod
    def at(cls, url: str, token: str | None) -> "OpsPort":
        """With OPS_TOKEN from the environment or `.env`, unless `token` is given."""
        url = url if "://" in url else f"http://{url}"
        if not _is_http(url):
            raise AskingError(f"{url} is no address of an ops port, as http://127.0.0.1:9464 is")
        kept = _Access().ops_token
        known = token or (kept.get_secret_value() if kept else None)
        return cls(url.rstrip("/").removesuffix("/stalls"), known)

    def listing(self) -> Facts:
        """`/stalls.json`."""
        return self._get("/stalls.json", f"{self.url} has no stalls to show: is it an ops port?")

    def stall(self, stall_id: str) -> Facts:
        """One of them, with everything that is known of it."""
        path = f"/stalls/{quote(stall_id, safe='')}.json"
        return self._get(path, f"there is no stall {stall_id} among the last ones at {self.url}")

    def _get(self, path: str, not_there: str) -> Facts:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        # Directly, whatever proxy the environment names: an ops port is not for the outside.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            request = urllib.request.Request(self.url + path, headers=headers)
            with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                facts = json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise AskingError(self._refusal(error.code, not_there)) from None
        except TimeoutError:
            raise AskingError(self._silence()) from None
        except OSError as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                raise AskingError(self._silence()) from None
            raise AskingError(self._absence(error)) from None
        except (HTTPException, ValueError):  # it speaks no HTTP, or no JSON
            raise AskingError(not_there) from None
        if not isinstance(facts, dict) or not facts.keys() & {"stalls", "cause"}:
            raise AskingError(not_there)
        return facts

    def _refusal(self, status: int, not_there: str) -> str:
        if status != 401:
            return not_there if status == 404 else f"{self.url} answers with {status}"
        if self.token:
            return f"{self.url} does not take this token (--token, OPS_TOKEN)"
        return f"{self.url} wants a token: give --token, or set OPS_TOKEN"

    def _silence(self) -> str:
        return (
            f"{self.url} does not answer within {_TIMEOUT_SECONDS:.0f} s: the process is stopped,"
            " or something holds its GIL (its standard error says what)"
        )

    def _absence(self, error: Exception) -> str:
        return (
            f"nothing answers at {self.url} ({getattr(error, 'reason', None) or error}):"
            " is the service running, and is this its ops port (OPS_PORT)?"
        )


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def show_list(port: OpsPort, console: Console, *, as_json: bool) -> None:
    """All of them, the newest first. Raises AskingError."""
    listing = port.listing()
    if as_json:
        console.file.write(json.dumps(listing, indent=2) + "\n")
        return
    for limit in listing["limits"]:
        console.print(Text(f"note: {_clean(limit)}", style="dim"))
    if listing["stalls"]:
        console.print(_table(listing["stalls"], listing["now"]))
    elif listing["mode"] != "off":
        console.print("No stall yet: all is well.")


def show_one(port: OpsPort, stall_id: str, console: Console, *, as_json: bool) -> None:
    """One, with its explanation and its stack. Raises AskingError."""
    stall = port.stall(stall_id)
    if as_json:
        console.file.write(json.dumps(stall, indent=2) + "\n")
        return
    console.print(_line(stall))
    console.print(Text(f"\n{_clean(stall['explanation'])}"))
    console.print(Text.assemble(("What helps: ", "bold"), _clean(stall["remedy"])))
    console.print(f"\n{stall['victims_count']} other requests waited.")
    if stall["stack"]:
        console.print("\nStack, innermost last:")
    for frame in stall["stack"]:
        console.print(_frame(frame))


def follow(port: OpsPort, console: Console, *, as_json: bool) -> None:
    """Print what is new as it comes, until interrupted. Raises AskingError at the start alone."""
    known = _moments_of(port.listing())
    if not as_json:
        console.print(Text(f"Waiting for stalls at {port.url} …", style="dim"))
    for listing in _listings(port, console):
        moments = _moments_of(listing)
        for moment, stall in reversed(moments.items()):
            if moment in known:
                continue
            if as_json:
                console.file.write(json.dumps(stall) + "\n")
                console.file.flush()
            else:
                console.print(_line(stall))
        known |= moments


def _listings(port: OpsPort, console: Console) -> Iterator[Facts]:
    complaint = None
    while True:
        time.sleep(_FOLLOW_SECONDS)
        try:
            yield port.listing()
            complaint = None
        except AskingError as error:  # it may come back, and has its say once
            if str(error) != complaint:
                complaint = str(error)
                Console(stderr=True).print(Text(_clean(complaint), style="yellow"))


def _moments_of(listing: Facts) -> dict[tuple[str, str], Facts]:
    return {(stall["id"], stall["phase"]): stall for stall in listing["stalls"]}


def _table(stalls: list[Facts], now: float) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("when", no_wrap=True)
    table.add_column("how long", no_wrap=True)
    table.add_column("why, id", no_wrap=True)
    table.add_column("culprit, route", overflow="fold")
    table.add_column("waited", justify="right")
    for stall in stalls:
        why = Text.assemble(_why(stall), (f"\n{_clean(stall['id'])}", "dim"))
        who = Text("\n").join([*_culprit(stall), Text(_clean(stall["route"]))])
        waited = str(stall["victims_count"])
        table.add_row(_when(stall, now), _how_long(stall), why, who, waited)
    return table


def _line(stall: Facts) -> Text:
    route = Text(f"{_clean(stall['route'])}, {stall['victims_count']} waited")
    stall_id = Text(_clean(stall["id"]), style="dim")
    told = (_when(stall), _how_long(stall), _why(stall), *_culprit(stall), route, stall_id)
    return Text("  ").join(told)


def _when(stall: Facts, now: float | None = None) -> Text:
    began = datetime.fromisoformat(stall["started_at"]).astimezone()
    today = datetime.now().astimezone().date() == began.date()
    text = Text(f"{began:%H:%M:%S}" if today else f"{began:%Y-%m-%d %H:%M:%S}")
    if now is not None:
        text.append(f"\n{_ago(now - began.timestamp())}", style="dim")
    return text


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"


def _how_long(stall: Facts) -> Text:
    seconds = stall["duration_seconds"]
    long = f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
    ongoing = stall["phase"] == "ongoing"
    return Text(f"{long} …" if ongoing else long, style="bold red" if ongoing else "bold")


def _why(stall: Facts) -> Text:
    cause = _clean(stall["cause"])
    return Text(cause, style=_COLORS.get(cause, "bold cyan"))


def _culprit(stall: Facts) -> list[Text]:
    culprit = stall["culprit"]
    if culprit is None:
        return [Text("–", style="dim")]
    return [Text(_name(culprit), style="bold"), Text(_place(culprit), style="dim")]


def _frame(frame: Facts) -> Text:
    style = "bold" if frame["application"] else "dim"
    text = Text.assemble("  ", (_name(frame), style), "  ", (_place(frame), "dim"))
    if frame["source_line"]:
        text.append(f"\n      {_clean(frame['source_line'])}")
    return text


def _name(frame: Facts) -> str:
    return _clean(f"{frame['module']}:{frame['function']}")


def _place(frame: Facts) -> str:
    """Relative where that is shorter, as for whoever develops the service here."""
    file = frame["file"].removeprefix(f"{Path.cwd()}/")
    return _clean(f"{file}:{frame['line']}")


def _clean(text: str) -> str:
    """Without what a terminal would obey, or could not show."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
