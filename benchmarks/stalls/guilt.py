"""Where the guilty lines are: each ends in `# guilty: NAME`."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.stalls import app
from benchmarks.stalls.reading import Place
from tests.stalls.marks import APP as TESTED

APPLICATION = (Path(app.__file__), *sorted(TESTED.rglob("*.py")))


@dataclass(frozen=True)
class Guilty:
    """One function and its guilty lines, if it is one line's fault."""

    name: str
    function: range
    file: str
    lines: frozenset[int] = frozenset()

    def is_line(self, place: Place) -> bool:
        """Whether that is a guilty line itself."""
        return place[0] == self.file and place[1] in self.lines

    def is_around(self, place: Place) -> bool:
        """Whether that is in the guilty function."""
        return place[0] == self.file and place[1] in self.function


def is_application(place: Place) -> bool:
    """Libraries are never taken for accused."""
    return Path(place[0]) in APPLICATION


@cache
def marked(name: str) -> Guilty:
    """The lines that end in this mark."""
    wanted = f"# guilty: {name}"
    for path in APPLICATION:
        source = path.read_text().splitlines()
        lines = {number for number, line in enumerate(source, 1) if line.endswith(wanted)}
        if lines:
            around = [(name, each) for name, each in _functions(path).items() if min(lines) in each]
            name, innermost = max(around, key=lambda each: each[1].start)
            return Guilty(name, innermost, str(path), frozenset(lines))
    raise LookupError(wanted)


@cache
def function(file: str, name: str) -> Guilty:
    """All of a function of the tests' application."""
    return Guilty(name, _functions(TESTED / file)[name], str(TESTED / file))


def _functions(path: Path) -> dict[str, range]:
    return {
        node.name: range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
