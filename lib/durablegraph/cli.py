"""The `durablegraph` command."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
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
    commands = {
        "new": _new,
        "dev": _dev,
        "rotate-keys": _rotate_keys,
        "rebuild-lists": _rebuild_lists,
        "import-threads": _import_threads,
        "retain": _retain,
    }
    return commands[given.command](given)


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
    new = commands.add_parser(
        "new",
        help="write a new app",
        description="Writes an app to start from: durablegraph's triggers, the host's settings and three example "
        "graphs. A folder that holds anything else than `.git` or a virtual environment is refused.",
    )
    new.add_argument("folder", type=Path, metavar="DIR", help="where to write it; made when it is missing")
    _dev_parser(commands)
    rotate = commands.add_parser(
        "rotate-keys",
        help="encrypt everything stored under the active key",
        description="Encrypts every stored object that is not under the active key anew. It may run while the app "
        "does, and again after an interruption. Settings are those of the environment and of `local.settings.json`. "
        "Ends with 1 when an object is left as it was.",
    )
    _of_app(rotate)
    rotate.add_argument("--dry-run", action="store_true", help="count, and write nothing")
    rebuild = commands.add_parser(
        "rebuild-lists",
        help="make the lists of runs, threads and schedules anew",
        description="Makes the lists of runs, threads and schedules anew from the records, and what is due: after an "
        "upgrade from a version that had none, or when entries were lost. It may run while the app does, and again "
        "after an interruption; about ten requests for each record. Settings are those of the environment and of "
        "`local.settings.json`.",
    )
    _of_app(rebuild)
    _import_parser(commands)
    _retain_parser(commands)
    return parser


def _dev_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


def _of_app(command: argparse.ArgumentParser) -> None:
    command.add_argument("--app", type=Path, default=Path(), metavar="DIR", help="the app's folder (default: this one)")
    command.add_argument("--state", type=Path, metavar="DIR", help="where state is kept, when storage is local")


def _import_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    imports = commands.add_parser(
        "import-threads",
        help="copy threads from another LangGraph saver",
        description="Copies threads from another LangGraph saver into the app's storage, and reads them back to "
        "compare. It may be repeated: a thread that is there is left alone, one that was cut short is completed, "
        "another one of the same id is refused. Settings are those of the environment and of `local.settings.json`. "
        "Ends with 1 when a thread was not imported.",
    )
    imports.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="SOURCE",
        help="sqlite:PATH, postgres:ADDRESS, or ./file.py:factory or package.module:factory that gives a saver",
    )
    imports.add_argument(
        "--to",
        dest="target",
        metavar="TARGET",
        help="sqlite:PATH or a connection string (default: the app's own storage)",
    )
    _of_app(imports)
    imports.add_argument(
        "--thread", action="append", default=[], metavar="ID", help="only this thread; may be given several times"
    )
    imports.add_argument("--graph", metavar="NAME", help="the graph of the threads (default: the app's, if it has one)")
    imports.add_argument("--dry-run", action="store_true", help="compare and count, and write nothing")


def _retain_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    retain = commands.add_parser(
        "retain",
        help="remove what is not to be kept any more",
        description="Asks the app's host to go on with its sweep now, as its timer does every hour; the host's log "
        "tells what was removed. With --dry-run it reads the storage itself, with the settings of the environment and "
        "of `local.settings.json`, and tells what a whole round would remove.",
    )
    retain.add_argument("--dry-run", action="store_true", help="tell what would be removed, and remove nothing")
    _of_app(retain)
    retain.add_argument("--url", default=f"http://localhost:{_PORT}", help="the host's address (default: %(default)s)")
    retain.add_argument("--key", help="the host's master key, where it asks for one")


def _new(given: argparse.Namespace) -> int:
    from durablegraph.errors import ConfigurationError  # noqa: PLC0415 -- as little as possible for each command
    from durablegraph.new_app import begin  # noqa: PLC0415 -- as above

    try:
        begin(given.folder)
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    place = shlex.quote(str(given.folder))
    print(f"Wrote a new app to {given.folder}. Run it:\n")
    print(f"    pip install 'durablegraph[host,models]'\n    durablegraph dev --app {place}")
    return 0


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


def _in_app(given: argparse.Namespace, act: Callable[[Path], int], *, makes_state: bool = False) -> int:
    """The exit code of `act` on the app's folder, with the app's settings and code; 1 when it says what is wrong."""
    from durablegraph.errors import ConfigurationError, DurableGraphError  # noqa: PLC0415 -- as above
    from durablegraph.host.errors import HostConfigurationError  # noqa: PLC0415 -- as above
    from durablegraph.host.settings import read_local_settings  # noqa: PLC0415 -- as above

    root = given.app.resolve()
    try:
        if not root.is_dir():
            raise ConfigurationError(f"found no folder {root}, expected the app's: name it by --app")
        if given.state is not None:
            if not given.state.is_dir() and (given.state.exists() or not makes_state):
                raise ConfigurationError(f"found no folder {given.state}, expected the one of the state: see --state")
            os.environ[_STATE_SETTING] = str(given.state.resolve())
        for name, value in read_local_settings(root).values.items():
            os.environ.setdefault(name, value)
        sys.path.insert(0, str(root))  # graphs, a key ring or a source may be in the app's code
        return act(root)
    except (DurableGraphError, HostConfigurationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _rotate_keys(given: argparse.Namespace) -> int:
    from durablegraph.key_rotation import rotate_keys, told  # noqa: PLC0415 -- as above

    def act(root: Path) -> int:
        rotation = rotate_keys(root, dry_run=given.dry_run)
        print(told(rotation, dry_run=given.dry_run))
        return 0 if given.dry_run or rotation.left == 0 else 1

    return _in_app(given, act)


def _rebuild_lists(given: argparse.Namespace) -> int:
    from durablegraph.list_rebuilding import rebuild, told  # noqa: PLC0415 -- as above

    def act(root: Path) -> int:
        print(told(rebuild(root)))
        return 0

    return _in_app(given, act)


def _retain(given: argparse.Namespace) -> int:
    from durablegraph.retaining import ask_host, dry_run, told  # noqa: PLC0415 -- as above

    def act(root: Path) -> int:
        if given.dry_run:
            print(told(dry_run(root)))
        else:
            ask_host(given.url, given.key)
            print("The host goes on with its sweep; its log tells what it removes.")
        return 0

    return _in_app(given, act)


def _import_threads(given: argparse.Namespace) -> int:
    from durablegraph.importing.command import Wanted, run, summary, told  # noqa: PLC0415 -- as above

    wanted = Wanted(given.source, given.target, tuple(given.thread), given.graph, given.dry_run)

    def act(root: Path) -> int:
        reports = run(wanted, root, lambda report: print(told(report, dry_run=given.dry_run), flush=True))
        print(summary(reports, dry_run=given.dry_run))
        return 0 if all(report.well for report in reports) else 1

    return _in_app(given, act, makes_state=True)


if __name__ == "__main__":
    sys.exit(main())
