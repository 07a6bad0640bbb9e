"""The `durablegraph` command."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_USAGE_ERROR = 2
_PORT = 7071
_HUB_SETTING = "DURABLEGRAPH_HUB"
"""The app setting that this project's own host.json names its hub by."""


_STATE_SETTING = "DURABLEGRAPH_STATE"
"""Where the library keeps its SQLite store: beside the host's own state."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
        return _USAGE_ERROR
    return _dev(given)


def _hint(root: Path, port: int) -> str:
    """What to try once the host listens, for an app that has graphs."""
    try:
        graphs = sorted(json.loads((root / "langgraph.json").read_text())["graphs"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    base = f"http://localhost:{port}/api"
    start = (
        f"curl -s -X POST {base}/graphs/{graphs[0]}/runs -H 'Content-Type: application/json' -d '{{\"input\": {{}}}}'"
    )
    told = [f"Graphs: {', '.join(graphs)}. When the host listens, try in another terminal:", ""]
    return "\n".join(
        [*told, f"    curl -s {base}/health/ready", f"    {start}", "", "README.md has a first run to copy."]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="durablegraph", description="LangGraph graphs on Azure Durable Functions.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    dev = commands.add_parser("dev", help="run a Functions app in the embedded host")
    dev.add_argument("--app", type=Path, default=Path(), metavar="DIR", help="the app's folder (default: this one)")
    dev.add_argument("--port", type=int, help="port to listen on (default: 7071; 0: any free one)")
    dev.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    dev.add_argument(
        "--state", type=Path, metavar="DIR", help="where state is kept (default: .durablegraph of the app)"
    )
    dev.add_argument("--trace", type=Path, metavar="FILE", help="append a JSON line for each invocation to this file")
    dev.add_argument("--no-reload", action="store_true", help="do not reload when the app's files change")
    dev.add_argument("--workers", type=int, metavar="N", help="worker processes; 0 runs the app in this process")
    dev.add_argument("--enable-auth", action="store_true", help="ask for keys, as the real host does")
    return parser


def _dev(given: argparse.Namespace) -> int:
    try:
        from durablegraph.host.dev import run_dev  # noqa: PLC0415 -- the host's own dependencies are an extra
        from durablegraph.host.preparation import HostOptions  # noqa: PLC0415 -- as above
    except ModuleNotFoundError as missing:
        sys.stderr.write(
            f"Found no module {missing.name!r}, expected the embedded host's dependencies. "
            "Install them: pip install 'durablegraph[host]'.\n",
        )
        return _USAGE_ERROR
    os.environ.setdefault(_HUB_SETTING, "durablegraph")
    root = given.app.resolve()
    state = (given.state or root / ".durablegraph").resolve()
    os.environ[_STATE_SETTING] = str(state)
    if hint := _hint(root, given.port or _PORT):
        print(hint)
    options = HostOptions(
        root=root,
        state=state,
        host=given.host,
        port=given.port,
        workers=given.workers,
        enable_auth=given.enable_auth,
        trace=given.trace and given.trace.resolve(),
    )
    return run_dev(options, reload=not given.no_reload)


if __name__ == "__main__":
    sys.exit(main())
