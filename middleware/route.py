"""The low-cardinality name of what a request matched; alone knows about frameworks' scope keys.

Read after the call, in constant time: routers leave their match in the scope, none is walked.
"""

from collections.abc import Mapping
from typing import Any

from .asgi import Scope

UNMATCHED = "unmatched"
_REST = "/{path}"  # below a mount: its own path is in root_path


def route_template(scope: Scope) -> str:
    """`/v1/product/{product_id}` for what was matched, `unmatched` when nothing was."""
    route = scope.get("route")  # Starlette, FastAPI
    if route is None:
        return scope.get("path_template") or _rebuilt_template(scope)  # Litestar; anything else
    # FastAPI 0.137 and newer: a route of an included router does not know the router's prefix.
    context = scope["fastapi"].get("effective_route_context") if "fastapi" in scope else None
    if context is not None and context.original_route is route:
        template = str(context.path_format)
    else:
        template = _own_template(route)
    if scope.get("root_path") and _mounted(scope):
        return _mount_template(scope, template) + template
    return template or UNMATCHED


def _mounted(scope: Scope) -> bool:
    root_path = scope.get("root_path", "")
    return bool(root_path) and root_path != scope.get("app_root_path", root_path)


def _own_template(route: Any) -> str:
    if getattr(route, "endpoint", None) is None:  # a mount
        return _REST
    return str(getattr(route, "path_format", None) or getattr(route, "path", ""))


def _rebuilt_template(scope: Scope) -> str:
    """Of what left no route: Starlette's routes and mounts in FastAPI, all of them before 1.7."""
    if "path_params" not in scope:
        return UNMATCHED
    if _mounted(scope):
        return _mount_template(scope, _REST) + _REST
    if not hasattr(scope.get("endpoint"), "__name__"):  # an app behind a host name, no endpoint
        return UNMATCHED
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return _with_names(path, scope["path_params"]) or UNMATCHED


def _mount_template(scope: Scope, template: str) -> str:
    """The mounts' own path, the values of its parameters replaced by their names."""
    path = scope["root_path"].removeprefix(scope["app_root_path"])
    names = {
        name: value
        for name, value in scope.get("path_params", {}).items()
        if f"{{{name}}}" not in template
    }
    return _with_names(path, names) or "".join(f"/{{{name}}}" for name in names)


def _with_names(path: str, values: Mapping[str, object]) -> str | None:
    """None when a value is not in the path as it was converted: 7 for `/007`."""
    path += "/"
    for name, value in values.items():
        before, found, after = path.partition(f"/{value}/")
        if not found:
            return None
        path = f"{before}/{{{name}}}/{after}"
    return path[:-1]
