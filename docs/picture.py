"""Draws `docs/demo.svg` from a real run: `make pictures`.

The demo starts, a product is asked for, its reviews API is told to hang, another one is asked for.
"""

import json
import subprocess
import sys
import urllib.request
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

PICTURE = Path(__file__).with_name("demo.svg")
API, REVIEWS = "http://127.0.0.1:8000", "http://127.0.0.1:8101"

# rich's own template loads a font from the internet; every system has one that will do.
TEMPLATE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px ui-monospace, Menlo, monospace; }}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main() -> None:
    """Run the demo, take down what it says and answers, draw it."""
    console = Console(record=True, width=112, file=StringIO())
    command = [sys.executable, "-m", "service", "demo", "--no-traffic"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        console.print("[bold]$ make demo[/]")
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("Ctrl-C"):
                break
            if line.startswith(("  Starting", "  Preparing")):
                console.print(line.rstrip(), highlight=False)
        ask(console, 1)
        told = f"""$ curl -X PUT {REVIEWS}/behaviour -d '{{"mode": "hang"}}'"""
        console.print(told, style="bold", highlight=False)
        behave("hang")
        ask(console, 2)
        demo.terminate()
        demo.communicate()
    PICTURE.write_text(console.export_svg(title="stallscope", theme=MONOKAI, code_format=TEMPLATE))


def ask(console: Console, product_id: int) -> None:
    """Ask for a product, print the parts of the answer that matter here."""
    console.print(f"$ curl {API}/product/{product_id}/enriched", style="bold", highlight=False)
    with urllib.request.urlopen(f"{API}/product/{product_id}/enriched") as response:
        product = json.load(response)
    shown = {
        "name": product["name"],
        "reviews": f"{len(product['reviews'])} of them",
        "inventory": {"quantity": product["inventory"]["quantity"]},
    }
    console.print_json(json.dumps(shown), indent=None)
    for source, report in product["sources"].items():
        colour = "green" if report["status"] in ("live", "cached") else "red"
        text = json.dumps({source: report})
        console.print(f"  [{colour}]{text.replace('[', chr(92) + '[')}[/]", highlight=False)


def behave(mode: str) -> None:
    """Tell the reviews stand-in how to behave."""
    request = urllib.request.Request(
        f"{REVIEWS}/behaviour", json.dumps({"mode": mode}).encode(), method="PUT"
    )
    urllib.request.urlopen(request).close()


if __name__ == "__main__":
    main()
