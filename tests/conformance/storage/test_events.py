"""Event logs on every object store."""

import asyncio

import pytest

from durablegraph.storage.events import Event, EventLogs, EventsGone, Limits
from tests.support.events import everything, told

SMALL = Limits(events=8, size=4000, kept=4, inline=200)


@pytest.fixture
def logs(backend):
    return EventLogs(backend.open(), SMALL)


async def test_events_are_read_in_their_order_from_any_offset(logs):
    for number in range(20):
        await logs.append("run", [told(number)])
    whole = await everything(logs)
    assert [(offset, event.id) for offset, event in whole] == [(n + 1, f"w-{n}") for n in range(20)]
    for after in range(21):
        assert await everything(logs, after=after) == whole[after:]
        assert await everything(logs, after=after, limit=3) == whole[after:]


async def test_a_log_that_does_not_exist_and_an_offset_that_is_not_there_yet_have_no_events(logs):
    assert (await logs.read("run")).events == ()
    await logs.append("run", [told(1)])
    page = await logs.read("run", 50)
    assert (page.events, page.more, page.closed) == ((), False, False)


async def test_logs_of_several_runs_do_not_mix(logs):
    for run in ("a", "b", "a/b", "ü" * 100):
        await logs.append(run, [told(1, by=run), told(2, by=run)])
    for run in ("a", "b", "a/b", "ü" * 100):
        assert [event.by for _, event in await everything(logs, run)] == [run, run]


async def test_the_first_event_is_written_once(backend):
    for _ in range(3):
        await EventLogs(backend.open(), SMALL).begin("run", Event("created", "metadata", {}))
    assert len(await everything(EventLogs(backend.open()))) == 1


async def test_writers_in_several_processes_lose_nothing_and_add_nothing_twice(backend):
    writers = [EventLogs(backend.open(), Limits(events=8, kept=1000)) for _ in range(4)]

    async def write(number, writer):
        for part in range(15):
            for _ in range(2):
                await writer.append("run", [told(part, by=f"w{number}", step=f"c/{number}")])

    await asyncio.gather(*(write(number, writer) for number, writer in enumerate(writers)))
    found = await everything(writers[0])
    assert [offset for offset, _ in found] == list(range(1, 61))
    for number in range(4):
        own = [event.id for _, event in found if event.by == f"w{number}"]
        assert own == [f"w{number}-{part}" for part in range(15)]


async def test_tasks_of_one_process_share_requests(backend):
    logs = EventLogs(backend.open(), Limits())
    await asyncio.gather(*(logs.append("run", [told(number, by=f"w{number}", step="")]) for number in range(100)))
    assert {event.id for _, event in await everything(logs)} == {f"w{number}-{number}" for number in range(100)}


async def test_the_oldest_segments_go_and_the_first_offset_that_is_there_is_told(logs, backend):
    for number in range(100):
        await logs.append("run", [told(number)])
    reader = EventLogs(backend.open())
    with pytest.raises(EventsGone) as gone:
        await reader.read("run", 10)
    found = await everything(reader, after=gone.value.first - 1)
    assert [offset for offset, _ in found] == list(range(gone.value.first, 101))
    assert SMALL.events * (SMALL.kept - 1) < len(found) <= SMALL.events * SMALL.kept


async def test_large_data_lies_apart_and_is_read_back(logs, backend):
    large = {"text": "ü\n" * 5000}
    await logs.append("run", [told(1), told(2, data=large), told(3)])
    found = await everything(EventLogs(backend.open()))
    assert [event.data for _, event in found] == [{"n": 1}, large, {"n": 3}]


async def test_a_closed_log_takes_nothing_more(logs, backend):
    await logs.append("run", [told(1), Event("end", "end", {"status": "completed"}), told(2)])
    for late in (logs, EventLogs(backend.open())):
        await late.append("run", [told(3)])
        await late.append("run", [Event("end", "end", {"status": "failed"})])
    page = await EventLogs(backend.open()).read("run")
    assert [event.name for _, event in page.events] == ["updates", "end"]
    assert page.events[-1][1].data == {"status": "completed"}
    assert (page.closed, page.more) == (True, False)
    assert (await logs.read("run", 2)).closed


async def test_a_reader_follows_a_writer_across_segments(backend):
    writer, reader = EventLogs(backend.open(), SMALL), EventLogs(backend.open())
    seen = []
    for number in range(30):
        await writer.append("run", [told(number)])
        seen += [event.id for _, event in (await reader.read("run", len(seen))).events]
    assert seen == [f"w-{number}" for number in range(30)]
