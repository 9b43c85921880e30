"""The `stallscope` commands that are no part of the service: the demo, and its parts alone.

Imported whatever the command is: each imports what it needs when it runs.
"""
# ruff: noqa: PLC0415

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.demo.rehearsals import FAULTS, Fault, UnknownFaultError, faults_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction


def add_demo_commands(commands: "_SubParsersAction[ArgumentParser]") -> None:
    """Add them to the command line."""
    demo = commands.add_parser(
        "demo",
        help="everything it needs, running on this machine",
        epilog=_list_of_faults(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument("--duration", type=float, metavar="SECONDS", help="stop after so long")
    demo.add_argument("--no-traffic", action="store_true", help="send no requests")
    demo.add_argument(
        "--faults",
        type=_faults,
        nargs="?",
        const=FAULTS,
        default=(),
        metavar="NAME,…",
        help="break one thing after the other: everything, for 15 s each, or what is named, for "
        "some minutes each, so that its alert fires",
    )
    demo.set_defaults(command=_demo)

    stand_in = commands.add_parser("stand-in", help="one upstream API, as the demo has it")
    stand_in.add_argument("kind", choices=["reviews", "inventory"])
    stand_in.add_argument("--host", default="127.0.0.1")
    stand_in.add_argument("--port", type=int, help="8101 for reviews, 8102 for inventory")
    stand_in.set_defaults(command=_stand_in)

    preview = commands.add_parser("preview", help="the dashboards, for people without Grafana")
    preview.add_argument("--host", default="127.0.0.1")
    preview.add_argument("--port", type=int, default=3000)
    preview.add_argument("--prometheus", metavar="URL", help="where their data comes from")
    preview.set_defaults(command=_preview)

    webhook = commands.add_parser("webhook", help="shows what Alertmanager tells")
    webhook.add_argument("--host", default="127.0.0.1")
    webhook.add_argument("--port", type=int, default=9094)
    webhook.set_defaults(command=_webhook)

    traffic = commands.add_parser("traffic", help="light traffic, until it is told to end")
    traffic.add_argument("url", type=_origin, metavar="URL", help="of the API port")
    traffic.set_defaults(command=_traffic)


def _list_of_faults() -> str:
    lines = (f"  {fault.name:28}{fault.alert} {fault.when}" for fault in FAULTS)
    return "\n".join(("what there is to break, and the alert that tells of it:", *lines))


def _faults(text: str) -> Sequence[Fault]:
    try:
        return faults_of(text)
    except UnknownFaultError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _origin(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/"):
        raise argparse.ArgumentTypeError(f"{text} is not http://HOST:PORT")
    return text.rstrip("/")


def _demo(options: argparse.Namespace) -> int:
    from service.demo.run import DemoOptions, run_demo

    return run_demo(DemoOptions(options.duration, not options.no_traffic, options.faults))


def _stand_in(options: argparse.Namespace) -> int:
    from service.demo.stand_ins import DEFAULT_PORTS, run_stand_in

    run_stand_in(options.kind, options.host, options.port or DEFAULT_PORTS[options.kind])
    return 0


def _preview(options: argparse.Namespace) -> int:
    from service.demo.preview.server import run_preview

    run_preview(options.host, options.port, options.prometheus)
    return 0


def _webhook(options: argparse.Namespace) -> int:
    from service.demo.webhook import run_webhook

    run_webhook(options.host, options.port)
    return 0


def _traffic(options: argparse.Namespace) -> int:
    from service.demo.traffic import run_traffic

    run_traffic(options.url)
    return 0
