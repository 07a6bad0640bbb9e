"""Logging of the app and of the host on the terminal."""

import logging
import os
import sys
import time

LEVEL_SETTING = "DURABLEGRAPH_LOG_LEVEL"
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
_CHATTY = ("azure.core", "azure.functions.DurableFunctions", "azure.storage", "httpx", "httpcore", "watchfiles")


def level_of(name: str) -> int:
    """The Python level for a level name of host.json; unknown names mean Information."""
    return _LEVELS.get(name.lower(), logging.INFO)


def configure_logging(level: int | None = None) -> None:
    """Send log records to stderr as ``[time] text``; an app that configures logging itself is left alone later on."""
    if level is None:
        level = level_of(os.environ.get(LEVEL_SETTING, "information"))
    terminal = logging.StreamHandler(sys.stderr)
    shown = logging.Formatter("[%(asctime)s.%(msecs)03dZ] %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    shown.converter = time.gmtime
    terminal.setFormatter(shown)
    logging.basicConfig(level=level, handlers=[terminal])
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
