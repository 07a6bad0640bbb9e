"""Removes credentials from texts, as the Functions host does before it shows or passes on a worker's error.

The host cuts from a known marker to the next ``<``, ``"`` or ``'``, however much text that is; user code meets this as
messages that end early, so the embedded host does the same.
"""

import re

REPLACEMENT = "[Hidden Credential]"
_MARKERS = (
    "Token=",
    "DefaultEndpointsProtocol=http",
    "AccountKey=",
    "Data Source=",
    "Server=",
    "Password=",
    "pwd=",
    "&amp;sig=",
    "&sig=",
    "?sig=",
    "SharedAccessKey=",
    "&amp;code=",
    "&code=",
    "?code=",
    "key=",
)
_SECRET = re.compile("(?:" + "|".join(re.escape(marker) for marker in _MARKERS) + r")[^<\"']*", re.IGNORECASE)


def sanitize(text: str) -> str:
    """The text with everything that follows a credential's marker hidden."""
    return _SECRET.sub(REPLACEMENT, text)
