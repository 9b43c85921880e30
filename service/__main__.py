"""The `stallscope` command."""

import argparse
import asyncio
import gc
import json
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from service.demo.commands import add_demo_commands

if TYPE_CHECKING:
    from service.settings import Settings

FAILED = 1
MISUSED = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stallscope", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="the service, configured by the environment")
    serve.add_argument(
        "--workers", type=_count, default=1, metavar="N", help="so many processes on one port"
    )
    serve.add_argument("--with-mistakes", action="store_true", help=argparse.SUPPRESS)
    serve.set_defaults(command=_serve)

    worker = commands.add_parser("worker")  # without help: only the supervisor starts these
    worker.add_argument("supervisor", type=int)
    worker.add_argument("listener", type=int)
    worker.set_defaults(command=_work)

    migrate = commands.add_parser("migrate", help="bring the database schema up to date")
    migrate.set_defaults(command=_migrate)

    fill = commands.add_parser("fill", help="put the demo's 10,000 products into the database")
    fill.set_defaults(command=_fill)

    add_demo_commands(commands)

    stalls = commands.add_parser("stalls", help="what blocked a running service's event loop")
    stalls.add_argument(
        "url", nargs="?", default="http://127.0.0.1:9464", metavar="URL", help="of its ops port"
    )
    stalls.add_argument("--id", help="one stall, with its explanation and its stack")
    stalls.add_argument("--follow", action="store_true", help="print new ones as they come")
    stalls.add_argument("--json", action="store_true", help="print JSON")
    stalls.add_argument("--token", help="the ops port's; else OPS_TOKEN from the environment")
    stalls.set_defaults(command=_stalls)

    openapi = commands.add_parser("openapi", help="print the OpenAPI document")
    openapi.set_defaults(command=_openapi)
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _serve(options: argparse.Namespace) -> int:
    if options.workers == 1:
        return _with_settings(partial(_serve_here, with_mistakes=options.with_mistakes))

    def supervise(settings: "Settings") -> int:
        from service.workers.supervisor import supervise

        return asyncio.run(supervise(settings, options.workers))

    return _with_settings(supervise)


def _work(options: argparse.Namespace) -> int:
    from service.workers.child import inherit_listener

    listener = inherit_listener(options.supervisor, options.listener)
    return _with_settings(lambda settings: _serve_here(settings, listener))


def _serve_here(
    settings: "Settings", listener: socket.socket | None = None, *, with_mistakes: bool = False
) -> int:
    # All that is imported stays: to walk through it is in vain, and with a loop running a stall.
    gc.disable()
    from service.server import serve

    more_routes = None
    if with_mistakes:
        from service.demo.mistakes import mistakes

        more_routes = mistakes
    gc.freeze()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(settings, listener, more_routes=more_routes))
    return 0


def _with_settings(run: Callable[["Settings"], int]) -> int:
    from middleware import configured_logs
    from service.listeners import StartError
    from service.settings import Settings, SettingsError

    try:
        settings = Settings.from_environment()
        with configured_logs(settings.log_level, settings.log_format):
            return run(settings)
    except SettingsError as error:
        return _complain(error, MISUSED)
    except StartError as error:
        return _complain(error, FAILED)
    except KeyboardInterrupt:  # before there was anything to stop gracefully
        return INTERRUPTED


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return None
    return uvloop.new_event_loop


def _complain(error: Exception, status: int) -> int:
    print(f"stallscope: {error}", file=sys.stderr)
    return status


def _migrate(options: argparse.Namespace) -> int:
    from service.adapters.postgres_migrations import migrate

    async def work(database_url: str) -> str:
        applied = await migrate(database_url)
        return "\n".join(f"applied {name}" for name in applied) or "the schema is up to date"

    return _on_database(work)


def _fill(options: argparse.Namespace) -> int:
    from service.demo.database import fill_database

    async def work(database_url: str) -> str:
        return f"{await fill_database(database_url)} products written"

    return _on_database(work)


def _on_database(work: Callable[[str], Coroutine[Any, Any, str]]) -> int:
    import asyncpg

    from service.adapters.postgres_migrations import MigrationError
    from service.settings import DatabaseAddress, SettingsError

    try:
        print(asyncio.run(work(DatabaseAddress.from_environment().database_url)))
    except SettingsError as error:
        return _complain(error, MISUSED)
    except (
        MigrationError,
        OSError,
        ValueError,
        OverflowError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
    ) as error:
        return _complain(error, FAILED)
    return 0


def _stalls(options: argparse.Namespace) -> int:
    from rich.console import Console

    from service.stalls import AskingError, OpsPort, follow, show_list, show_one

    in_lines = options.follow or options.id is not None
    console = Console(highlight=False, soft_wrap=in_lines)
    try:
        port = OpsPort.at(options.url, options.token)
        if options.id is not None:
            show_one(port, options.id, console, as_json=options.json)
        elif options.follow:
            follow(port, console, as_json=options.json)
        else:
            show_list(port, console, as_json=options.json)
    except AskingError as error:
        return _complain(error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _openapi(options: argparse.Namespace) -> int:
    from service.app import create_app
    from service.settings import Settings, UpstreamSettings

    # Whatever the environment says: the document is the same everywhere.
    settings = Settings(
        database_url="postgresql://localhost",
        reviews=UpstreamSettings.model_validate({"url": "http://localhost"}),
        inventory=UpstreamSettings.model_validate({"url": "http://localhost"}),
        api_keys=frozenset(),
        rate_limit=None,
    )
    print(json.dumps(create_app(settings).openapi(), indent=2, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
