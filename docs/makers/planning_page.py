"""The tables of docs/explanation/planning.md, made from the model beside this file."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from docs.makers import planning as model
from docs.makers.costs import Requests, counted
from docs.makers.markdown import code, table
from docs.makers.planning import AzureStorage, Hub, Load, Scheduler, Usage
from docs.makers.planning_facts import DAYS, HOST_ACTIVITIES, LOOKS_A_MINUTE, QUIET_MINUTES, facts

ROOT = Path(__file__).parents[2]
PRESETS = ROOT / "infra" / "host-presets"
PRESET_NAMES = ("latency", "throughput", "cost")
DURABLE = "AzureFunctionsJobHost__extensions__durableTask__"
"""How an app setting that overrides a member of host.json's `extensions.durableTask` begins."""

BACKENDS = (AzureStorage(), Scheduler(), Scheduler(1), Scheduler(3))
BATCHES = (1, 2, 5, 10, 20, 50)
CHAIN = Load(runs=1, steps=1000)
"""A chain of single tasks, so long that its start and its end do not count."""

FAN = Load(runs=1, steps=1, fan_outs=1, width=20)
"""One super-step of twenty tasks."""

WIDE = Load(runs=1, steps=1, fan_outs=1, width=1_000)

TEAM = Load(runs=1_000 * DAYS, steps=10)
INBOX = Load(runs=10_000, steps=10, approvals=1, waiting=10_000)
ONE_BY_ONE = Load(runs=1_000_000, steps=5)
MAPPED = Load(runs=1_000, steps=3, fan_outs=1, width=1_000)


def preset(name: str) -> dict[str, str]:
    """The app settings of a preset."""
    listed = json.loads((PRESETS / f"{name}.json").read_text(encoding="utf-8"))
    return {item["name"]: item["value"] for item in listed}


def host_json(name: str) -> str:
    """Our host.json with what a preset overrides in it."""
    document = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    for path, value in preset(name).items():
        if path.startswith(DURABLE):
            *parents, leaf = path.removeprefix(DURABLE).split("__")
            section = document["extensions"]["durableTask"]
            for parent in parents:
                section = section[parent]
            section[leaf] = int(value) if isinstance(section[leaf], int) else value
    return json.dumps(document, indent=2) + "\n"


def hub_of(name: str, *, batch: float, hosts: int = 1) -> Hub:
    """The hub that a preset makes, where `batch` super-steps fit in its time budget."""
    settings = preset(name)
    hours, minutes, seconds = map(int, settings[f"{DURABLE}storageProvider__maxQueuePollingInterval"].split(":"))
    return Hub(
        partitions=int(settings[f"{DURABLE}storageProvider__partitionCount"]),
        polling_seconds=hours * 3600 + minutes * 60 + seconds,
        steps_per_activity=batch,
        steps_per_execution=int(settings["DURABLEGRAPH_STEPS_PER_EXECUTION"]),
        activities_at_once=int(settings[f"{DURABLE}maxConcurrentActivityFunctions"]),
        hosts=hosts,
    )


BATCH_HOSTS, NODE_SECONDS = 8, 2
EXAMPLES: tuple[tuple[str, str, Load, Hub], ...] = (
    ("a team: 1,000 runs a day of 10 super-steps", "as it comes", TEAM, Hub()),
    ("the same", "`cost`, five super-steps an activity", TEAM, hub_of("cost", batch=5)),
    ("an inbox: 10,000 approvals, each open all month", "as it comes", INBOX, Hub()),
    ("the same", "`cost`, five super-steps an activity", INBOX, hub_of("cost", batch=5)),
    ("1M documents, a run each", "as it comes, 8 hosts", ONE_BY_ONE, Hub(hosts=BATCH_HOSTS)),
    (
        "the same",
        "`throughput`, five super-steps an activity, 8 hosts",
        ONE_BY_ONE,
        hub_of("throughput", batch=5, hosts=BATCH_HOSTS),
    ),
    (
        "1M documents, 1,000 runs that map 1,000 each",
        "`throughput`, 8 hosts",
        MAPPED,
        hub_of("throughput", batch=1, hosts=BATCH_HOSTS),
    ),
)


def with_plan(page: str, costs: str) -> str:
    """The page with all its tables made anew; `costs` is the page on costs, whose counts the model uses."""
    rows = counted(costs)
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: made by docs/makers/planning_page.py, `make docs` -->", f"<!-- end of {name} -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n\n{make(rows)}\n\n{end}{rest.split(end)[1]}"
    return page


def _steps(_: Mapping[str, Requests]) -> str:
    head = (
        "a million of",
        "our requests",
        "Durable's",
        "ours, USD",
        "Durable's, USD",
        "sum, USD",
        "Scheduler: actions",
    )
    kinds = {
        "super-steps, one an activity": model.of_steps(CHAIN, Hub()).times(1_000),
        "super-steps, two an activity": model.of_steps(CHAIN, Hub(steps_per_activity=2)).times(1_000),
        "super-steps, five an activity": model.of_steps(CHAIN, Hub(steps_per_activity=5)).times(1_000),
        "super-steps, twenty an activity": model.of_steps(CHAIN, Hub(steps_per_activity=20)).times(1_000),
        "fan-outs of 20 tasks, each an activity": model.of_steps(FAN, Hub()).times(1_000_000),
        "fan-outs of 1,000 tasks, 50 in flight": model.of_steps(WIDE, Hub()).times(1_000_000),
    }
    return table(head, [(name, *_money(usage)) for name, usage in kinds.items()])


def _money(usage: Usage) -> tuple[str, ...]:
    dollars = (usage.blobs.usd, usage.durable_usd, usage.usd)
    return (_number(usage.blobs.total), _number(usage.durable), *map(_usd, dollars), _number(usage.actions))


def _idle(counts: Mapping[str, Requests]) -> str:
    hubs = {
        "ours: 4 partitions, 2 s": Hub(),
        "preset `latency`: 4 partitions, 1 s": hub_of("latency", batch=1),
        "preset `throughput`: 16 partitions, 2 s, 8 hosts": hub_of("throughput", batch=1, hosts=BATCH_HOSTS),
        "preset `cost`: 1 partition, 5 s": hub_of("cost", batch=1),
        "Durable's default: 4 partitions, 30 s": Hub(polling_seconds=30),
    }
    rows = []
    for name, hub in hubs.items():
        two = model.of_idle_month(hub, counts)
        three = model.of_idle_month(replace(hub, extension=3), counts)
        watched = model.of_idle_month(replace(hub, extension=3, scale_controller=True), counts)
        cells = (two.queues, two.leases, two.usd, three.tables, three.usd, watched.usd)
        rows.append((name, *(_usd(cell) if at in {2, 4, 5} else _number(cell) for at, cell in enumerate(cells))))
    head = (
        "a month",
        "looks at queues",
        "extension 2: leases",
        "USD",
        "extension 3: rows instead",
        "USD",
        "USD with a scale controller",
    )
    return table(head, rows)


def _waiting(rows: Mapping[str, Requests]) -> str:
    head = ("open approvals", "looked at every", "requests a day", "USD a month", "USD a month each", "actions a month")
    made = []
    for number in (1, 200, 2_000, 10_000, 100_000):
        month = model.of_waiting(number, rows).times(DAYS)
        every = max(QUIET_MINUTES, number / LOOKS_A_MINUTE)
        requests = (month.blobs.total + month.durable) / DAYS
        each = _usd(month.usd / number)
        made.append(
            (_number(number), f"{every:g} min", _number(requests), _usd(month.usd), each, _number(month.actions))
        )
    return table(head, made)


def _capacity(_: Mapping[str, Requests]) -> str:
    shapes = {
        "one super-step an activity": (CHAIN, Hub()),
        "five super-steps an activity": (CHAIN, Hub(steps_per_activity=5)),
        "fan-outs of 20": (FAN, Hub()),
    }
    rows = []
    for name, (load, hub) in shapes.items():
        limits = [model.bottleneck(backend, load, hub) for backend in BACKENDS]
        cells = [f"{limit.steps:,.0f} ({limit.name})" for limit in limits]
        hosts = model.hosts(limits[0].steps, load, hub)
        rows.append((name, *cells, f"{hosts}"))
    head = ("super-steps a second", *(backend.name for backend in BACKENDS), "hosts for the first column")
    one, five = model.of_one_run(Hub()).steps, model.of_one_run(Hub(steps_per_activity=5)).steps
    alone = f"One run alone: {one:,.0f} super-steps a second for its history, {five:,.0f} with five an activity."
    return f"{table(head, rows)}\n\n{alone}"


def _examples(rows: Mapping[str, Requests]) -> str:
    head = (
        "",
        "set up as",
        "super-steps",
        "our requests",
        "Durable's",
        "USD",
        "of it Durable's",
        "actions",
        "equal at",
    )
    made = []
    for name, setting, load, hub in EXAMPLES:
        month = model.of_month(load, hub, rows)
        made.append(
            (
                name,
                setting,
                _number(load.runs * load.steps),
                _number(month.blobs.total),
                _number(month.durable),
                _usd(month.usd),
                _usd(month.durable_usd),
                _number(month.actions),
                _usd(model.same_price(month)),
            )
        )
    return table(head, made)


def _batch(_: Mapping[str, Requests]) -> str:
    rows = []
    for name, setting, load, hub in EXAMPLES:
        if hub.hosts != BATCH_HOSTS:
            continue
        limit = model.bottleneck(AzureStorage(), load, hub)
        number = load.runs * model.activities(load, hub)
        hours = (
            load.runs * load.steps / limit.steps / 3600,
            number / (hub.hosts * HOST_ACTIVITIES) / 3600,
            model.hours_of_nodes(load, hub, NODE_SECONDS),
        )
        rows.append((name, setting, _number(number), *(f"{hour:.2g}" for hour in hours)))
    head = ("", "set up as", "activities", "hours: the hub's limit", "8 hosts", f"8 hosts, {NODE_SECONDS} s a task")
    return table(head, rows)


def _presets(_: Mapping[str, Requests]) -> str:
    shown = {name: preset(name) for name in PRESET_NAMES}
    names = list(shown["latency"])
    rows = [(code(_short(name)), *(code(values[name]) for values in shown.values())) for name in names]
    return table(("setting", *(code(name) for name in shown)), rows)


def _short(name: str) -> str:
    return f"…__{name.removeprefix(DURABLE)}" if name.startswith(DURABLE) else name


def _sources(_: Mapping[str, Requests]) -> str:
    return table(("number", "value", "kind", "where from"), facts())


def _number(amount: float) -> str:
    return f"{amount:,.0f}"


def _usd(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.2g}"


TABLES: dict[str, Callable[[Mapping[str, Requests]], str]] = {
    "super-steps": _steps,
    "idle": _idle,
    "waiting": _waiting,
    "capacity": _capacity,
    "examples": _examples,
    "batch": _batch,
    "presets": _presets,
    "facts": _sources,
}
"""Marker on the page -> what makes the table there."""
