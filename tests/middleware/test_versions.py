"""The lowest and the newest FastAPI that the middleware supports, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

pytestmark = pytest.mark.no_cover

LOWEST = ("0.109.0", "0.35.0")  # before, mounts cut the path that is logged
NEWEST = ("0.165.0", "1.10.0")

INSTALL_SECONDS, RUN_SECONDS = 100.0, 60.0
ROOT = Path(__file__).parents[2]

TABLE = [
    ["GET", "/orders/1", 200, "/orders/{order_id}"],
    ["GET", "/orders/x", 422, "/orders/{order_id}"],
    ["POST", "/orders/1", 405, "/orders/{order_id}"],
    ["GET", "/orders/1/boom", 500, "/orders/{order_id}/boom"],
    ["GET", "/orders/1/stream", 200, "/orders/{order_id}/stream"],
    ["GET", "/orders/1/background", 200, "/orders/{order_id}/background"],
    ["GET", "/orders/1/", 307, "unmatched"],
    ["GET", "/nothing", 404, "unmatched"],
    ["GET", "/regions/eu/v1/orders/1", 200, "/regions/{region}/v1/orders/{order_id}"],
    ["GET", "/regions/eu/v1/orders/x", 422, "/regions/{region}/v1/orders/{order_id}"],
    ["GET", "/regions/eu/v1/orders/1/boom", 500, "/regions/{region}/v1/orders/{order_id}/boom"],
    ["GET", "/tenants/acme/v2/orders/1", 200, "/tenants/{tenant}/v2/orders/{order_id}"],
    ["GET", "/tenants/acme/nothing", 404, "/tenants/{tenant}/{path}"],
    ["GET", "/plain/anything", 200, "/plain/{path}"],
    ["GET", "/starlette/name", 200, "/starlette/{name}"],
]


@pytest.mark.timeout(INSTALL_SECONDS + RUN_SECONDS + 20)
@pytest.mark.parametrize("versions", [LOWEST, NEWEST], ids=lambda versions: versions[0])
def test_a_supported_fastapi_is_seen_as_any_other(
    pytestconfig: pytest.Config, versions: tuple[str, str]
) -> None:
    fastapi, starlette = versions
    folder = installed(pytestconfig, f"fastapi=={fastapi}", f"starlette=={starlette}")

    seen = table_with(folder)

    assert (seen["fastapi"], seen["starlette"]) == versions
    assert sorted(seen["rows"]) == sorted(TABLE * 2)  # not sampled, and sampled
    assert seen["counted"] == len(TABLE) * 2
    assert seen["failures"] == ["mine"] * 4


def installed(pytestconfig: pytest.Config, *requirements: str) -> Path:
    """A folder with these distributions alone; kept in pytest's cache."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("-".join(requirements).replace("==", "-"))
    done = folder / "installed"
    if not done.exists():
        command = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--upgrade", "--target", str(folder), *requirements]
        result = _python(command, INSTALL_SECONDS)
        if result.returncode:
            pytest.skip(f"{requirements} cannot be installed: {result.stderr.decode()[-300:]}")
        done.touch()
    return folder


def table_with(folder: Path) -> dict[str, Any]:
    """What version_table.py sees with the distributions in `folder`."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    result = _python(["-m", "tests.middleware.version_table"], RUN_SECONDS, PYTHONPATH=path)
    assert result.returncode == 0, result.stderr.decode()[-3000:]
    seen: dict[str, Any] = orjson.loads(result.stdout)
    return seen


def _python(
    arguments: list[str], timeout_seconds: float, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        timeout=timeout_seconds,
        check=False,
    )
