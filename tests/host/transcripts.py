"""Two transcripts of one scenario, reduced to what any host shows to its callers, and their differences.

A host of one's own leaves a trace of every invocation; another does not. So turns and activities are left out here
(`tests/conformance/host` compares them), and statuses, headers, bodies and histories stay.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.support.recorded import _module as driver_module
from tests.support.recorded import expectation

_CHILD = re.compile(r"<[^<>:]+:\d+>|<guid\d+>(?::\d+)?")
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Compared:
    """One scenario: the differences from the real engine's recording, and from the embedded host's transcript.

    None: there was nothing to compare with.
    """

    name: str
    recording: tuple[str, ...] | None
    embedded: tuple[str, ...] | None

    @property
    def equal(self) -> bool:
        """No difference from anything that there was."""
        return not self.recording and not self.embedded


def visible(document: dict[str, Any], form: str) -> dict[str, Any]:
    """A normalised transcript of this form without what needs a trace.

    Ids that the host makes, of children above all, are only known by name where there is a trace: they become one word,
    by which `loose` histories, sorted already, are sorted anew.
    """
    finals = {
        label: instance["final"] for label, instance in document["instances"].items() if not re.search(r":\d+$", label)
    }
    shown = {"steps": document["steps"], "instances": finals}
    without: dict[str, Any] = json.loads(_CHILD.sub("<id>", json.dumps(shown)))
    for final in without["instances"].values() if form == "loose" else ():
        if isinstance(final, dict) and isinstance(final.get("historyEvents"), list):
            final["historyEvents"].sort(key=lambda event: json.dumps(event, sort_keys=True))
    return without


def compare(name: str, got: dict[str, Any], embedded: dict[str, Any] | None, *, recorded: bool) -> Compared:
    """A raw transcript against the recording of the same scenario, and against the embedded host's raw transcript.

    A scenario whose values are times is compared with nothing.
    """
    if name.startswith(driver_module("normalise").TIMED):
        return Compared(name, None, None)
    form, document = next(iter(expectation(name).items())) if recorded else ("loose", None)
    found = _normal(got, form)
    return Compared(
        name,
        None if document is None else differences(visible(document, form), found),
        None if embedded is None else differences(_normal(embedded, form), found),
    )


def differences(expected: dict[str, Any], got: dict[str, Any]) -> tuple[str, ...]:
    """The first differences, in words."""
    found = driver_module("normalise").differences(expected, got)
    return tuple(
        f"{path}\n  expected {_short(wanted)}\n  got      {_short(was)}" for path, wanted, was in found[:_SHOWN]
    )


def _normal(raw: dict[str, Any], form: str) -> dict[str, Any]:
    return visible(driver_module("normalise").normalise(raw, form == "loose"), form)


def _short(value: Any) -> str:
    return json.dumps(value)[:300]
