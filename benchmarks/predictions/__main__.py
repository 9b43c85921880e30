"""`python -m benchmarks.predictions PLAN`: one run, its outcome on standard output, both JSON."""

import gc
import sys

import uvloop

from benchmarks.predictions.load import Generator, Plan


def main() -> None:
    """Run the plan; without garbage collection, whose pauses would pass for the server's."""
    generator = Generator(Plan.from_json(sys.argv[1]))
    gc.disable()
    print(uvloop.run(generator.run()).to_json())


if __name__ == "__main__":
    main()
