"""Run every benchmark one after the other: python -m benchmarks [name ...]."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PARTS = frozenset({"checkpointer_places", "listing_rows", "page", "peers", "processes", "report"})
"""Modules that are no benchmarks of their own."""


def main(wanted: list[str]) -> int:
    """Run the named benchmarks, or all; the result is how many failed."""
    names = sorted(file.stem for file in HERE.glob("[a-z]*.py") if file.stem not in PARTS)
    failed = 0
    for name in wanted or names:
        print(f"\n== {name}", flush=True)
        failed += (
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False, cwd=HERE.parent).returncode != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
