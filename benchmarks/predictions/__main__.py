"""`python -m benchmarks.predictions load|overload PLAN`: one run; its outcome on standard output.

Plan and outcome are JSON.
"""

import gc
import sys

import uvloop

from benchmarks.predictions.load import Generator, Plan
from benchmarks.predictions.overload import OverloadGenerator, OverloadPlan


def main() -> None:
    """Run the plan; without garbage collection, whose pauses would pass for the server's."""
    kind, plan = sys.argv[1:]
    generator: Generator | OverloadGenerator
    if kind == "load":
        generator = Generator(Plan.from_json(plan))
    else:
        generator = OverloadGenerator(OverloadPlan.from_json(plan))
    gc.disable()
    print(uvloop.run(generator.run()).to_json())


if __name__ == "__main__":
    main()
