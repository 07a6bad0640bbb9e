"""One trial: carry a run on a host that is killed according to plan, and gather the evidence."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Self

import httpx

from durablegraph import BlobCheckpointSaver
from proof.app.forty_steps import ASKS
from proof.evidence import Kill, Outcome, Reply
from proof.host import ROOT, AppHost
from proof.notes import Note, Notebook, open_tasks
from proof.plan import AT_QUESTIONS, Moment, Planned

THREAD = "proof"
TICK, FAST_TICK = 0.02, 0.004
ENDING_SECONDS = 2
SIGN_SECONDS = 60
RUN_SECONDS = 540
ENDED = frozenset({"completed", "failed", "cancelled", "timed_out", "terminated"})
_STEPS = {question: step for step, question in ASKS.items()}
_OWN = frozenset({"__interrupt__", "__resume__", "__error__"})  # pending writes that are no result of a task


class Terminal:
    """A process that answers when it is told to."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def open(cls, url: str, name: str) -> Self:
        """Start one."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "proof.terminal", url, name)
        return cls(name, await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT))

    def tell(self, **told: Any) -> None:
        """Have it post an answer; returns at once."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(told).encode() + b"\n")

    async def reply(self) -> Reply:
        """What the host told it."""
        if self._process.stdout is None:
            raise RuntimeError("a terminal without a stdout cannot reply")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"terminal {self.name} has died")
        return Reply(**json.loads(line))

    async def close(self) -> None:
        """End of its stdin, end of its work."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


class Trial:
    """A run on a host, and what becomes of both. `watch` is told of each kill when the run is under way again."""

    def __init__(self, host: AppHost, planned: list[Planned], *, inside: int, watch: Any = None) -> None:
        self.host = host
        self.kills: list[Kill] = []
        self.replies: list[Reply] = []
        self.questions: dict[str, frozenset[str]] = {}
        self.notebook = Notebook(host.notes)
        self._pending = list(planned)
        self._inside = inside
        self._watch = watch or (lambda _: None)
        self._terminals: list[Terminal] = []
        self._run = ""
        self._life = 0

    async def carry(self, given: Mapping[str, Any]) -> Outcome:
        """Start the run, kill its host, answer its questions; how it ended."""
        await self.host.start()
        self._terminals = [await Terminal.open(self.host.url, name) for name in ("A", "B")]
        async with httpx.AsyncClient(base_url=f"{self.host.url}/api", timeout=30) as api:
            try:
                body = {"input": dict(given), "thread_id": THREAD}
                self._run = (await api.post("/graphs/forty_steps/runs", json=body)).raise_for_status().json()["id"]
                async with asyncio.timeout(RUN_SECONDS):
                    shown = await self._to_the_end(api)
                history = (await api.get(f"/threads/{THREAD}/history", params={"limit": 1000})).json()
            finally:
                for terminal in self._terminals:
                    await terminal.close()
                self.host.kill()
        facts = tuple((each["metadata"]["step"], each["values"]) for each in reversed(history))
        return Outcome(shown["status"], shown["output"] or {}, facts)

    async def _to_the_end(self, api: httpx.AsyncClient) -> Mapping[str, Any]:
        while True:
            shown: dict[str, Any] = (await api.get(f"/runs/{self._run}")).raise_for_status().json()
            if shown["status"] in ENDED:
                return shown
            fresh = [item for item in shown["interrupts"] if shown["status"] == "interrupted"]
            if fresh and not self._asked(fresh[0]):
                await self._at_question(api, fresh[0]["value"]["question"])
            elif due := self._due():
                await self._kill_when(api, due)
            await asyncio.sleep(TICK)

    def _asked(self, item: Mapping[str, Any]) -> bool:
        """Note the question; whether both terminals have been told already."""
        question = item["value"]["question"]
        self.questions[question] = self.questions.get(question, frozenset()) | {item["id"]}
        return any(reply.question == question for reply in self.replies)

    def _due(self) -> Planned | None:
        """The next kill, if its super-step has begun in this life of the host."""
        planned = next((each for each in self._pending if each.moment not in AT_QUESTIONS), None)
        begun = [note.step for note in self.notebook.read()[self._life :] if note.kind == "begin"]
        return planned if planned and begun and max(begun) >= planned.step else None

    async def _kill_when(self, api: httpx.AsyncClient, due: Planned) -> None:
        """Kill at the moment that was planned. One that passes by while we wait comes again with the next node."""
        missing = self._inside - sum(kill.inside for kill in self.kills)
        moment = Moment.INSIDE if missing >= len(self._pending) else due.moment
        if moment is Moment.INSIDE and not self._at_work():
            return
        if moment is Moment.ENDING and not await self._ending():
            return
        await asyncio.sleep(due.delay)
        if moment is Moment.INSIDE and not self._at_work():
            return
        await self._kill(api, due)

    def _at_work(self) -> list[Note]:
        """The tasks that have begun in this life of the host and have not ended."""
        return open_tasks(self.notebook.read()[self._life :])

    async def _ending(self) -> bool:
        """Wait for a node that is at work to end; false when none is, or it takes long."""
        deadline = time.monotonic() + ENDING_SECONDS
        while self._at_work() and time.monotonic() < deadline:
            await asyncio.sleep(FAST_TICK)
            if self.notebook.read()[-1].kind == "end":
                return True
        return False

    async def _at_question(self, api: httpx.AsyncClient, question: str) -> None:
        """Kill while nobody has answered, if that is planned; else have both terminals answer, perhaps under a kill."""
        planned = {each.moment: each for each in self._pending if each.step == _STEPS[question]}
        if waiting := planned.get(Moment.WAITING):
            await asyncio.sleep(waiting.delay)
            await self._kill(api, waiting, f"waiting for an answer to “{question}”")
            return
        at = time.time() + 0.2
        for terminal in self._terminals:
            body = {"by": terminal.name, "go": terminal.name == "A", "question": question}
            terminal.tell(run=self._run, question=question, body=body, at=at)
        if answering := planned.get(Moment.ANSWERING):
            await asyncio.sleep(max(0.0, at + answering.delay - time.time()))
            await self._kill(api, answering, f"both terminals answering “{question}”")
        self.replies += [await terminal.reply() for terminal in self._terminals]

    async def _kill(self, api: httpx.AsyncClient, planned: Planned, where: str = "") -> None:
        """Kill the host, look at what it has left, start it again and wait for a sign of life."""
        at = time.time()
        self.host.kill()
        self._pending.remove(planned)
        notes = list(self.notebook.read())
        at_work = open_tasks(notes[self._life :])
        committed, stored = await self._left()
        self._life = len(notes)
        begun = time.monotonic()
        await self.host.start()
        back = time.monotonic() - begun
        await self._sign(api)
        kill = Kill(
            number=len(self.kills) + 1,
            planned=planned,
            at=at,
            where=_where(at_work, notes, committed, where),
            inside=bool(at_work),
            committed=committed,
            stored=stored,
            begun=len(notes),
            back=back,
            recovered=time.monotonic() - begun,
        )
        self.kills.append(kill)
        self._watch(kill)

    async def _left(self) -> tuple[int, frozenset[str]]:
        """The last committed super-step, and the tasks of the next one whose writes are stored."""
        async with BlobCheckpointSaver.from_path(self.host.objects, allowed_types=True) as saver:
            head = await saver.aget_tuple({"configurable": {"thread_id": THREAD}})
        if head is None:
            return -2, frozenset()
        stored = frozenset(task for task, channel, _ in head.pending_writes or () if channel not in _OWN)
        return head.metadata["step"], stored

    async def _sign(self, api: httpx.AsyncClient) -> None:
        """Until a node has begun, or the run waits or has ended. RuntimeError when nothing comes."""
        deadline = time.monotonic() + SIGN_SECONDS
        while len(self.notebook.read()) == self._life:
            shown = (await api.get(f"/runs/{self._run}")).json()
            if shown["status"] == "interrupted" or shown["status"] in ENDED:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the run shows no sign of life: {shown}\n{self.host.last_words}")
            await asyncio.sleep(TICK)


def _where(at_work: list[Note], notes: list[Note], committed: int, where: str) -> str:
    """The place of a kill, in words, as the notes and the store have it."""
    if at_work:
        nodes = ", ".join(sorted(f"{note.node!r}" for note in at_work))
        return f"inside an activity: {nodes} of super-step {at_work[0].step}"
    if where:
        return where
    ended = max((note.step for note in notes if note.kind == "end"), default=committed)
    if ended > committed:
        return f"a node of super-step {ended} had ended, nothing was committed"
    return f"between super-steps {max(committed, 0)} and {max(committed, 0) + 1}"
