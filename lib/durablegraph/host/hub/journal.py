"""The hub's memory on disk: one SQLite file in WAL mode, one transaction for each group of steps.

A commit is in the operating system's hands when it returns, so a killed process loses nothing that was acknowledged.
The file holds rows, not commands: opening it reads what is not over; ended instances stay there until asked for.
"""

import heapq
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from durablegraph.host.errors import HostError
from durablegraph.host.hub.changes import (
    AppendHistory,
    Change,
    ClearHistory,
    DropActivity,
    DropInstance,
    DropMessages,
    DropMessagesOf,
    PutActivity,
    PutEntity,
    PutInstance,
    PutMessage,
    TouchInstance,
)
from durablegraph.host.hub.events import Event, from_text
from durablegraph.host.hub.state import ActivityTask, Entity, HubState, Instance, Message, Parent, RuntimeStatus

_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT, execution TEXT NOT NULL, status TEXT NOT NULL,
    input TEXT, output TEXT, custom_status TEXT, parent TEXT, source TEXT, generation INTEGER NOT NULL,
    fresh INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS instances_by_status ON instances (status);
CREATE TABLE IF NOT EXISTS history (
    instance TEXT NOT NULL, n INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (instance, n)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY, target TEXT NOT NULL, execution TEXT, due TEXT, text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_target ON messages (target);
CREATE TABLE IF NOT EXISTS activities (
    seq INTEGER PRIMARY KEY, instance TEXT NOT NULL, execution TEXT NOT NULL, task INTEGER NOT NULL,
    name TEXT NOT NULL, input TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS entities (
    id TEXT PRIMARY KEY, present INTEGER NOT NULL, state TEXT, created TEXT NOT NULL, updated TEXT NOT NULL,
    senders TEXT NOT NULL
);
"""
_COLUMNS = (
    "id, name, version, execution, status, input, output, custom_status, parent, source, "
    "generation, fresh, created, updated"
)
_LIVE = tuple(status.value for status in RuntimeStatus if not status.ended)
_CLEAR_HISTORY = "DELETE FROM history WHERE instance=?"
_DROP_MESSAGES_OF = "DELETE FROM messages WHERE target=?1 AND (?2 IS NULL OR execution=?2)"


class Journal:
    """One open hub file (or ``:memory:``). Used from one thread; not closed twice."""

    def __init__(self, path: Path | str, hub_name: str) -> None:
        """Open or create. HostError when the file is another hub's or of another format."""
        self._db = sqlite3.connect(str(path), isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._check(
            "format",
            str(_FORMAT),
            f"{path}: found a hub of format {{}}, expected {_FORMAT}. Use the version that wrote it, or another "
            "folder.",
        )
        self._check(
            "hub",
            hub_name,
            f"{path}: found the hub {{!r}}, expected {hub_name!r}. Give each hub a folder of its own (--state).",
        )

    def _check(self, name: str, mine: str, refusal: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?,?)", (name, mine))
        found = self._db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()[0]
        if found != mine:
            self._db.close()
            raise HostError(refusal.format(found))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- writing ---------------------------------------------------------------------------------------------------
    def commit(self, changes: Sequence[Change]) -> None:
        """Store all changes, in order, or none."""
        self._db.execute("BEGIN")
        try:
            for kind, group in groupby(changes, key=type):
                self._write(kind, group)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _write(self, kind: type, group: Iterable[Change]) -> None:
        items = list(group)
        statement, rows = _WRITES[kind]
        self._db.executemany(statement, chain.from_iterable(map(rows, items)))
        if kind is DropInstance:
            for item in items:
                ((instance_id,),) = rows(item)
                self._db.execute(_CLEAR_HISTORY, (instance_id,))
                self._db.execute(_DROP_MESSAGES_OF, (instance_id, None))

    # -- reading ---------------------------------------------------------------------------------------------------
    def load(self) -> HubState:
        """Everything that is not over. Histories stay in the file until asked for."""
        state = HubState()
        marks = ",".join("?" * len(_LIVE))
        condition = f"status IN ({marks}) OR id IN (SELECT target FROM messages)"  # noqa: S608 -- only marks go in
        for instance in self.select(condition, _LIVE):
            state.instances[instance.id] = instance
        for row in self._db.execute("SELECT id, present, state, created, updated, senders FROM entities"):
            state.entities[row[0]] = Entity(
                row[0], bool(row[1]), row[2], _time(row[3]), _time(row[4]), json.loads(row[5])
            )
        for row in self._db.execute("SELECT seq, instance, execution, task, name, input FROM activities ORDER BY seq"):
            state.activities[row[0]] = ActivityTask(*row)
        for row in self._db.execute("SELECT seq, target, execution, due, text FROM messages ORDER BY seq"):
            _place(state, Message(row[0], row[1], row[2], from_text(row[4]), _time(row[3]) if row[3] else None))
        last = self._db.execute(
            "SELECT max(s) FROM (SELECT max(seq) s FROM messages UNION SELECT max(seq) FROM activities)"
        ).fetchone()[0]
        state.last_seq = last or 0
        return state

    def instance(self, instance_id: str) -> Instance | None:
        """One instance's row, without its history."""
        return next(iter(self.select("id = ?", (instance_id,))), None)

    def history(self, instance_id: str) -> list[Event]:
        """One instance's history, in order."""
        rows = self._db.execute("SELECT text FROM history WHERE instance=? ORDER BY n", (instance_id,))
        return [from_text(text) for (text,) in rows]

    def select(self, condition: str, values: Sequence[Any], tail: str = "ORDER BY id") -> Iterator[Instance]:
        """Instances by an SQL condition of this module's callers; rows without histories."""
        query = f"SELECT {_COLUMNS} FROM instances WHERE {condition} {tail}"  # noqa: S608 -- conditions are constants, values are bound
        for row in self._db.execute(query, tuple(values)):
            yield _instance(row)


def _instance_row(i: Instance) -> tuple[Any, ...]:
    parent = json.dumps([i.parent.instance_id, i.parent.execution_id, i.parent.task_id]) if i.parent else None
    head = (
        i.id,
        i.name,
        i.version,
        i.execution_id,
        i.status.value,
        i.input,
        i.output,
        i.custom_status,
        parent,
        i.source_id,
    )
    return (*head, i.generation, i.fresh, stored(i.created), stored(i.updated))


def _touched(i: Instance) -> tuple[Any, ...]:
    return i.status.value, i.output, i.custom_status, i.fresh, stored(i.updated), i.id


def _message_row(m: Message) -> tuple[Any, ...]:
    return m.seq, m.target, m.execution_id, stored(m.due) if m.due else None, m.event.text


def _activity_row(task: ActivityTask) -> tuple[Any, ...]:
    return task.seq, task.instance_id, task.execution_id, task.task_id, task.name, task.input


def _entity_row(e: Entity) -> tuple[Any, ...]:
    created, updated = (stored(moment) if moment else "" for moment in (e.created, e.updated))
    return e.id, e.exists, e.state, created, updated, json.dumps(e.senders)


_WRITES: dict[type, tuple[str, Callable[[Any], Iterable[tuple[Any, ...]]]]] = {
    PutInstance: (
        f"INSERT OR REPLACE INTO instances ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 -- constant names
        lambda it: [_instance_row(it.instance)],
    ),
    TouchInstance: (
        "UPDATE instances SET status=?, output=?, custom_status=?, fresh=?, updated=? WHERE id=?",
        lambda it: [_touched(it.instance)],
    ),
    DropInstance: ("DELETE FROM instances WHERE id=?", lambda it: [(it.instance_id,)]),
    AppendHistory: (
        "INSERT OR REPLACE INTO history (instance, n, text) VALUES (?,?,?)",
        lambda it: [(it.instance_id, n, text) for n, text in enumerate(it.texts, it.start)],
    ),
    ClearHistory: (_CLEAR_HISTORY, lambda it: [(it.instance_id,)]),
    PutMessage: (
        "INSERT INTO messages (seq, target, execution, due, text) VALUES (?,?,?,?,?)",
        lambda it: [_message_row(it.message)],
    ),
    DropMessages: ("DELETE FROM messages WHERE seq=?", lambda it: [(seq,) for seq in it.seqs]),
    DropMessagesOf: (_DROP_MESSAGES_OF, lambda it: [(it.target, it.execution_id)]),
    PutActivity: (
        "INSERT INTO activities (seq, instance, execution, task, name, input) VALUES (?,?,?,?,?,?)",
        lambda it: [_activity_row(it.task)],
    ),
    DropActivity: ("DELETE FROM activities WHERE seq=?", lambda it: [(it.seq,)]),
    PutEntity: (
        "INSERT OR REPLACE INTO entities (id, present, state, created, updated, senders) VALUES (?,?,?,?,?,?)",
        lambda it: [_entity_row(it.entity)],
    ),
}
"""For each kind of change its statement, and the rows that one change writes by it."""


def _instance(row: tuple[Any, ...]) -> Instance:
    return Instance(
        id=row[0],
        name=row[1],
        version=row[2],
        execution_id=row[3],
        status=RuntimeStatus(row[4]),
        input=row[5],
        output=row[6],
        custom_status=row[7],
        parent=Parent(*json.loads(row[8])) if row[8] else None,
        source_id=row[9],
        generation=row[10],
        fresh=bool(row[11]),
        created=_time(row[12]),
        updated=_time(row[13]),
    )


def stored(moment: datetime) -> str:
    """A moment as text whose order is the order of time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _place(state: HubState, message: Message) -> None:
    if message.due is not None:
        heapq.heappush(state.timers, (message.due, message.seq, message))
    elif instance := state.instances.get(message.target):
        instance.inbox.append(message)
    elif entity := state.entities.get(message.target):
        entity.queue.append(message)
