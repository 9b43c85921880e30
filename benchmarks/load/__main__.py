"""`python -m benchmarks.load PLAN`: one run, its result on standard output, both JSON."""

import gc
import sys

import uvloop

from .generator import Generator
from .plan import Plan


def main() -> None:
    """Run the plan; without garbage collection, whose pauses would pass for the server's."""
    generator = Generator(Plan.from_json(sys.argv[1]))
    gc.disable()
    result = uvloop.run(generator.run())
    print(result.to_json())


if __name__ == "__main__":
    main()
