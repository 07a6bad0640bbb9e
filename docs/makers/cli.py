"""docs/reference/cli.md: the command line, from its parser."""

import argparse
from collections.abc import Iterator

from docs.makers.markdown import code, page, table
from durablegraph import cli

INTRODUCTION = """\
`pip install 'durablegraph[host]'` brings the command with the embedded host. `make run` is `durablegraph dev` in the
project's own environment. It ends with 0 after Ctrl+C or SIGTERM, with 1 when the app cannot be run (a port in use, a
state folder that another host holds, an app that does not load), with 2 for arguments it does not know. The other
commands end with 0 when all was done, with 1 when something was not, which they name, and with 2 likewise."""


def cli_page() -> str:
    """The page."""
    parser = cli._parser()  # noqa: SLF001 -- the module's one parser; the page must show what it takes
    blocks = []
    for name, command in _commands(parser):
        blocks += [
            f"## durablegraph {name}",
            command.description or "",
            table(["option", "meaning", "default"], _options(command)),
        ]
    return page("Command line", INTRODUCTION, *blocks)


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001 -- argparse has no public way to list what was added
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 -- as above
            for choice in action._choices_actions:  # noqa: SLF001 -- as above
                command = action.choices[choice.dest]
                command.description = command.description or f"{(choice.help or '').capitalize()}."
                yield choice.dest, command


def _options(command: argparse.ArgumentParser) -> Iterator[tuple[str, str, str]]:
    for action in command._actions:  # noqa: SLF001 -- as above
        if isinstance(action, argparse._HelpAction):  # noqa: SLF001 -- as above
            continue
        value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
        names = ", ".join(code(name + value) for name in action.option_strings) or code(action.metavar or action.dest)
        meaning = (action.help or "") % {"default": action.default, "prog": command.prog}
        yield names, meaning, "" if action.default in (None, False, argparse.SUPPRESS) else code(action.default)
