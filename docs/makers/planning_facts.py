"""The numbers that planning.py computes with, and where each comes from.

*Measured* is what the real engine did on the storage emulator, *counted* what this code asks of the object store
(tests/unit/docs/test_planning.py and test_costs.py count it), *published* what Microsoft's pages say, *assumed* what
none of these says.
"""

from collections.abc import Iterator

from docs.makers.costs import PRICES, Requests
from durablegraph.settings import Settings

DAYS, MINUTES = 30, 30 * 24 * 60
"""Of a month."""

QUEUE_USD, TABLE_USD, OTHER_USD = 0.004 / 10_000, 0.00036 / 10_000, 0.0044 / 10_000
"""Published, a request: of a queue, of a table, and of blobs those that are neither read nor write (leases)."""

QUEUE_OF_ACTIVITY, TABLE_OF_ACTIVITY = 10.4, 3.1
"""Measured: requests of Durable for one activity in a row, with its share of orchestrator turns."""

QUEUE_OF_EVENT, TABLE_OF_EVENT = 25 - QUEUE_OF_ACTIVITY, 8.3 - TABLE_OF_ACTIVITY
"""Measured: what an external event adds to the activity that follows it, polling of a second or so included."""

ENTITIES_OF_ACTIVITY = TABLE_OF_ACTIVITY + 3
"""Assumed: of the three requests one is a batch of four rows, and each row is billed."""

LEASES, LEASES_OF_PARTITION = 20.0, 48.0
"""Blob requests a minute of extension 2: measured 213 with four partitions and 68 with one; between them, assumed."""

TABLE_LEASES_OF_PARTITION = 46 / 4
"""Table requests a minute of extension 3: measured 46 with four partitions."""

SCALE_CONTROLLER_SECONDS = 10
"""Published: how often Consumption and Premium plans look at each queue."""

HOST_ACTIVITIES = 72.0
"""Measured: activities a second of one host, twenty chains at once, host, worker and emulator on two shared cores."""

OPERATIONS_OF_MESSAGE = 3
"""Assumed: put, get and delete of a message count as three against a target that speaks of messages a second."""

ROWS_OF_ACTIVITY = 4
"""Measured: rows that an activity leaves in its instance's history."""

LOOKS_A_MINUTE, QUIET_MINUTES = 200, 10
"""The supervisor's limit a sweep, and how often it looks at a run that waits."""

OF_ACTIVITY, OF_STEP = Requests(reads=1), Requests(writes=1)
"""Counted: the run's record is read by each activity, the thread's head is written by each super-step."""

OF_CHUNK, OF_FAN_OUT = Requests(reads=2, writes=1), Requests(reads=2, writes=1, lists=1)
"""Counted: an activity that executes tasks, and the decision and the commit around all of them."""

OF_TURN = Requests(writes=1)
"""Counted, at most: each further turn of such an activity's tasks, where only so many may be in flight."""

AT_ONCE = Settings().fan_out_width
"""Tasks of a fan-out in flight at a time."""

OF_DAY = Requests(reads=4, lists=2)
"""Counted: the two looks of a run that waits when its timer of a day fires."""


QUEUE_MESSAGES, ACCOUNT_MESSAGES, ACCOUNT_REQUESTS, PARTITION_ENTITIES = 2_000, 20_000, 20_000, 2_000
"""Published, a second: messages of a queue and of an account, requests of an account, entities of a table partition."""

ACTIONS_OF_UNIT, MOST_UNITS, ACTIONS_OF_CONSUMPTION = 2_000, 3, 500
"""Published: actions a second of a capacity unit, units of a scheduler, actions a second of the Consumption SKU."""

MOST_PARTITIONS = 16
"""Published: control queues of a task hub."""


_LEARN = "https://learn.microsoft.com/azure"
_ENGINE = "Durable extension 2.13.7 on Azurite, 2 shared cores"

Fact = tuple[str, str, str, str]
"""A row of the table: the number's name, its value, its kind, where it comes from."""


def facts() -> Iterator[Fact]:
    """Every number with its kind and its source."""
    for kind, rows in {
        "measured": _measured(),
        "counted": _counted(),
        "published": _published(),
        "assumed": _assumed(),
        "unknown": [("price of an action, of a unit", "none", "no page that we could read names one that holds")],
    }.items():
        for name, value, source in rows:
            yield name, value, kind, source


def _measured() -> Iterator[tuple[str, str, str]]:
    event = (QUEUE_OF_ACTIVITY + QUEUE_OF_EVENT, TABLE_OF_ACTIVITY + TABLE_OF_EVENT)
    both = f"{event[0]:g} of queues, {event[1]:.1f} of tables"
    rows = f"{TABLE_LEASES_OF_PARTITION * 4:g} table rows with 4 partitions"
    yield "Durable's requests an activity", f"{QUEUE_OF_ACTIVITY} of queues, {TABLE_OF_ACTIVITY} of tables", _ENGINE
    yield "an event and its activity", both, f"{_ENGINE}, with the polls of a second"
    yield "leases, a minute", "213 with 4 partitions, 68 with 1", f"{_ENGINE}; between them, assumed"
    yield "the same on extension 3", rows, "extension 3.19 on Azurite; other numbers of partitions, assumed"
    yield "looks at queues", "(partitions + hosts) ÷ polling interval", "10, 60 and 295 a minute with 4 + 1"
    yield "one host", f"{HOST_ACTIVITIES:g} bare activities a second", f"20 chains at once; {_ENGINE}"
    yield "rows of an activity in history", f"{ROWS_OF_ACTIVITY}", _ENGINE


def _counted() -> Iterator[tuple[str, str, str]]:
    tests = "`tests/unit/docs/test_planning.py`, `test_costs.py`"
    chunk = f"{OF_CHUNK.reads} reads, {OF_CHUNK.writes} write"
    around = f"{OF_FAN_OUT.reads} reads, {OF_FAN_OUT.writes} write, {OF_FAN_OUT.lists} listing"
    yield "an activity and its super-steps", "a read, and a write for each super-step", tests
    turn = f"{OF_TURN.writes} write for each further turn, where its tasks take turns"
    yield "an activity of a fan-out", f"{chunk}; {turn}; around all of them {around}", tests
    yield "the timer of a day", f"{OF_DAY.reads} reads, {OF_DAY.lists} listings", tests
    yield "starts, ends, approvals, looks", "as on the page on costs", tests


def _published() -> Iterator[tuple[str, str, str]]:
    queues, tables = (f"[{name}]({_LEARN}/storage/{name}/scalability-targets)" for name in ("queues", "tables"))
    account = f"[accounts]({_LEARN}/storage/common/scalability-targets-standard-account); 40,000 in many regions"
    provider = f"[Azure Storage provider]({_LEARN}/azure-functions/durable/durable-functions-azure-storage-provider)"
    billing = f"[Scheduler billing]({_LEARN}/durable-task/scheduler/durable-task-scheduler-billing), May 2026"
    units = f"{ACTIONS_OF_UNIT:,} actions a second a unit, {MOST_UNITS} units at most"
    blobs = f"writes and lists {PRICES['writes']}, others {PRICES['reads']} USD per 10,000"
    others = f"{QUEUE_USD * 10_000:g} and {TABLE_USD * 10_000:.5f} USD per 10,000"
    yield "one queue", f"{QUEUE_MESSAGES:,} messages a second", queues
    yield "queues of an account", f"{ACCOUNT_MESSAGES:,} messages a second", queues
    yield "one account", f"{ACCOUNT_REQUESTS:,} requests a second", account
    yield "one partition of a table", f"{PARTITION_ENTITIES:,} entities a second", tables
    yield "control queues of a hub", f"{MOST_PARTITIONS} at most; one work-item queue", provider
    yield "scale controller", f"a look at each queue every {SCALE_CONTROLLER_SECONDS} s", provider
    yield "Scheduler, Dedicated", units, billing
    yield "Scheduler, Consumption", f"{ACTIONS_OF_CONSUMPTION} actions a second", billing
    yield "actions", "start 1, activity 2, timer 1, event 1", billing
    yield "prices of blobs", blobs, "Microsoft's samples"
    yield (
        "prices of queues and tables",
        others,
        "others' listings of its retail prices (GPv2, LRS); they differ by region",
    )


def _assumed() -> Iterator[tuple[str, str, str]]:
    messages = "the target speaks of messages; the cautious reading"
    yield "operations a message", f"{OPERATIONS_OF_MESSAGE}: put, get, delete", messages
    yield "a batch of 4 rows", f"billed as {ENTITIES_OF_ACTIVITY - TABLE_OF_ACTIVITY + 1:g}", "the cautious reading"
    yield "a continue-as-new", "no request; one action", "none showed in measurements; a start is an action"
    yield "a timer", "what an event costs", "a message and a turn, too"
    yield "a look of the supervisor", "one row of a table", "the instance's row; no action on a Scheduler"
