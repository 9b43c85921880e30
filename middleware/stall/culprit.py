"""Frames in, the guilty application frame out."""

import sys
import sysconfig
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os.path import dirname, join, relpath, sep

from .record import Frame, Stack


@dataclass(slots=True)
class Territory:
    """Whose code a file is: found by where it lies.

    `application` are places that belong to the application although they are installed: learnt
    from the requests' endpoints.
    """

    ours: str
    standard_library: tuple[str, ...]
    installed: tuple[str, ...]
    application: tuple[str, ...] = ()

    @classmethod
    def here(cls) -> "Territory":
        """Of this interpreter."""
        libraries = {sysconfig.get_path(each) + sep for each in ("stdlib", "platstdlib")}
        packages = {sysconfig.get_path(each) + sep for each in ("purelib", "platlib")}
        ours = dirname(dirname(__file__)) + sep
        return cls(ours, tuple(sorted(libraries)), tuple(sorted(packages)))

    def learn(self, place: str) -> bool:
        """Take note of a place of the application; whether that is news."""
        if not self.is_installed(place) or place.startswith(self.application or "\0"):
            return False
        self.application = (*self.application, place)
        return True

    def is_application(self, file: str) -> bool:
        """Whether `file` is neither ours, nor the standard library's, nor installed."""
        if file.startswith(self.application or "\0"):
            return True
        return not self.is_skipped(file) and not self.is_installed(file)

    def is_skipped(self, file: str) -> bool:
        """Whether it is ours or the standard library's; not what is installed inside that."""
        return file.startswith(("<", self.ours)) or (
            file.startswith(self.standard_library) and not self.is_installed(file)
        )

    def is_installed(self, file: str) -> bool:
        """Whether somebody else made it."""
        return (
            file.startswith(self.installed)
            or f"{sep}site-packages{sep}" in file
            or f"{sep}dist-packages{sep}" in file
        )


def guilty_frame(stack: Stack, territory: Territory) -> Frame | None:
    """The innermost frame of the application; of what is installed, when it has none there."""
    innermost = tuple(reversed(stack))
    return next(
        (frame for frame in innermost if territory.is_application(frame.file)),
        next((frame for frame in innermost if not territory.is_skipped(frame.file)), None),
    )


def guilty_of(
    folded: Collection[tuple[Stack, int]], territory: Territory
) -> tuple[Frame | None, Stack]:
    """Of all samples: the frame most often found guilty, and the stack it was most often seen on.

    The function first, then its line: a loop that is seen on all of its lines is one culprit.
    """
    frames: Counter[Frame] = Counter()
    functions: Counter[tuple[str, str]] = Counter()
    stacks: dict[Frame, Counter[Stack]] = {}
    for stack, count in folded:
        frame = guilty_frame(stack, territory)
        if frame is not None:
            frames[frame] += count
            functions[frame.file, frame.function] += count
            stacks.setdefault(frame, Counter())[stack] += count
    if not frames:
        return None, max(folded, key=_count, default=((), 0))[0]
    (function, _), *_ = functions.most_common(1)
    culprit = next(
        frame for frame, _ in frames.most_common() if (frame.file, frame.function) == function
    )
    return culprit, stacks[culprit].most_common(1)[0][0]


def _count(stack_and_count: tuple[Stack, int]) -> int:
    return stack_and_count[1]


def module_of(file: str, roots: Sequence[str] | None = None) -> str:
    """The dotted name of the module in `file`, as `import` would find it from `roots` (sys.path).

    For frames seen from outside, which know their file only.
    """
    inside = [root for root in roots or sys.path if root and file.startswith(join(root, ""))]
    path = relpath(file, max(inside, key=len)) if inside else file.rpartition(sep)[2]
    return path.removesuffix(".py").removesuffix(f"{sep}__init__").replace(sep, ".")
