"""Where the guilty lines are: each ends in `# guilty: NAME`, and a name may have several."""

import ast
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

APP = Path(__file__).parent / "app"


@dataclass(frozen=True, slots=True)
class Mark:
    """One guilty function's guilty lines."""

    file: str
    function: str
    lines: frozenset[int]

    def fits(self, culprit: dict[str, Any]) -> bool:
        """Whether this is who is blamed. From outside, a function's plain name is all one sees."""
        function = culprit["function"].rpartition(".")[2]
        place = (culprit["file"], function, culprit["line"] in self.lines)
        return place == (self.file, self.function, True)


@functools.cache
def marked(name: str) -> Mark:
    """The mark of this name, wherever in the application."""
    wanted = f"# guilty: {name}"
    for path in sorted(APP.rglob("*.py")):
        source = path.read_text().splitlines()
        lines = {number for number, line in enumerate(source, 1) if line.endswith(wanted)}
        if lines:
            return Mark(str(path), _function_at(path, min(lines)), frozenset(lines))
    raise LookupError(wanted)


def _function_at(path: Path, line: int) -> str:
    around = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        and node.lineno <= line <= (node.end_lineno or 0)
    ]
    innermost = max(around, key=lambda node: node.lineno)
    return getattr(innermost, "name", "<lambda>")
