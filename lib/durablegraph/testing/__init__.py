"""Tests of Durable apps: any Functions app, or graphs alone, in this process and in memory, on a clock that tests move.

::

    def test_an_approval_escalates_after_three_days(durable_app):
        app = durable_app("path/to/app")
        run = app.orchestrate("ask_for_approval", {"manager": "kim"})
        app.clock.advance(hours=72)
        assert run.until_end().output == "escalated"

pytest finds the fixture `durable_app` by itself; `DurableApp` is the same without pytest. Install
`durablegraph[testing]`.
"""

from typing import TYPE_CHECKING

from durablegraph.first_use import on_first_use

if TYPE_CHECKING:
    from durablegraph.testing.app import DurableApp
    from durablegraph.testing.moments import (
        Moment,
        after_activity,
        after_commit,
        after_write,
        before_activity,
        before_commit,
        before_write,
    )
    from durablegraph.testing.orchestrations import Orchestration
    from durablegraph.testing.parity import assert_equals_plain_invoke
    from durablegraph.testing.replaying import assert_replays, record_history
    from durablegraph.testing.runs import Run
    from durablegraph.testing.verdicts import CrashNeverCame, HostDied, NotDeterministic, Refused, Stuck, WrongEnd

__all__ = [
    "CrashNeverCame",
    "DurableApp",
    "HostDied",
    "Moment",
    "NotDeterministic",
    "Orchestration",
    "Refused",
    "Run",
    "Stuck",
    "WrongEnd",
    "after_activity",
    "after_commit",
    "after_write",
    "assert_equals_plain_invoke",
    "assert_replays",
    "before_activity",
    "before_commit",
    "before_write",
    "record_history",
]

# pytest loads this package in every project that has it installed.
__getattr__ = on_first_use(
    __name__,
    {
        "app": ("DurableApp",),
        "moments": (
            "Moment",
            "after_activity",
            "after_commit",
            "after_write",
            "before_activity",
            "before_commit",
            "before_write",
        ),
        "orchestrations": ("Orchestration",),
        "parity": ("assert_equals_plain_invoke",),
        "replaying": ("assert_replays", "record_history"),
        "runs": ("Run",),
        "verdicts": ("CrashNeverCame", "HostDied", "NotDeterministic", "Refused", "Stuck", "WrongEnd"),
    },
)
