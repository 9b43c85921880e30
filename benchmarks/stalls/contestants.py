"""Who is compared: what switches it on, and how to read what it says."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.contestants import OURS as STALLSCOPE
from benchmarks.stalls import reading
from benchmarks.stalls.reading import Report, Said

PACKAGES = ("aiodebug", "blockbuster", "aiocop", "uvloop", "uvicorn", "fastapi", "py-spy")
_TOOLS = "benchmarks.stalls.tools."


@dataclass(frozen=True)
class Tool:
    """`module` is what the watched process imports; `read` is for us."""

    name: str
    module: str
    read: Callable[[Said], Iterable[Report]]
    environment: Mapping[str, str] = field(default_factory=dict)


ALL = (
    Tool(STALLSCOPE.name, f"{_TOOLS}stallscope", reading.stalls, {"OPS_PORT": "0"}),
    Tool("aiodebug", f"{_TOOLS}aiodebug", reading.slow_callbacks_and_dumps),
    Tool("asyncio debug mode", f"{_TOOLS}asyncio_debug", reading.slow_callbacks),
    Tool("blockbuster", f"{_TOOLS}blockbuster", reading.blocking_errors),
    Tool("aiocop", f"{_TOOLS}aiocop", reading.slow_tasks),
)
