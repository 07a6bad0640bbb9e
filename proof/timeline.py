"""The timeline of a trial as a self-contained SVG: time runs to the right, super-steps climb."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from proof.app.forty_steps import ASKS, PARTS, STEPS
from proof.evidence import TAKEN, Evidence
from proof.notes import Note

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 1180, 11, 46, 14, 30, 30
_STEP_OF = {question: step for step, question in ASKS.items()}


@dataclass(frozen=True, slots=True)
class Work:
    """One execution of a node; `cut` is the number of the kill that ended it, 0 for none."""

    note: Note
    until: float
    cut: int


def timeline(seen: Evidence) -> str:
    """The picture."""
    frame = _Frame(seen)
    shapes = [*frame.axes(), *frame.deaths(), *frame.waits(), *frame.works(), *frame.numbers(), *frame.replies()]
    height = TOP + ROW * STEPS + BOTTOM
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Super-steps over time, with {len(seen.kills)} '
        f'kills of the host">\n' + "\n".join(shapes) + "\n</svg>"
    )


def works(seen: Evidence) -> list[Work]:
    """All executions. One without an end was cut off by the kill after it (or lasted until the trial's end)."""
    done: list[Work] = []
    begun: dict[str, tuple[int, Note]] = {}
    for index, note in enumerate(seen.notes):
        if note.kind == "begin":
            if note.task in begun:
                done.append(_cut(seen, *begun[note.task]))
            begun[note.task] = (index, note)
        elif note.kind == "end" and note.task in begun:
            done.append(Work(begun.pop(note.task)[1], note.at, 0))
    return done + [_cut(seen, index, note) for index, note in begun.values()]


def _cut(seen: Evidence, index: int, note: Note) -> Work:
    kill = next((kill for kill in seen.kills if kill.begun > index), None)
    return Work(note, kill.at, kill.number) if kill else Work(note, seen.ended, 0)


class _Frame:
    """Where times and super-steps are in the picture, and the shapes that stand for what was seen."""

    def __init__(self, seen: Evidence) -> None:
        self.seen = seen
        self._scale = (WIDTH - LEFT - RIGHT) / max(seen.ended - seen.began, 0.001)

    def x(self, at: float) -> float:
        return round(LEFT + (at - self.seen.began) * self._scale, 1)

    def y(self, step: int) -> int:
        """The top of a super-step's row."""
        return TOP + ROW * (STEPS - step)

    def axes(self) -> Iterator[str]:
        bottom = TOP + ROW * STEPS
        for step in range(5, STEPS + 1, 5):
            y = self.y(step) + ROW / 2
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
            yield f'<text class="axis" x="{LEFT - 8}" y="{y + 3.5}" text-anchor="end">{step}</text>'
        seconds = self.seen.ended - self.seen.began
        every = next(pace for pace in (5, 10, 20, 30, 60, 120) if seconds / pace <= 12 or pace == 120)  # noqa: PLR2004 -- labels that fit
        for second in range(0, int(seconds) + 1, every):
            x = self.x(self.seen.began + second)
            yield f'<text class="axis" x="{x}" y="{bottom + 18}" text-anchor="middle">{second} s</text>'
        yield f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom + 2}" y2="{bottom + 2}"/>'

    def deaths(self) -> Iterator[str]:
        """Grey while there is no host, a line where it was killed."""
        bottom = TOP + ROW * STEPS
        for kill in self.seen.kills:
            x, width = self.x(kill.at), max(1.0, round(kill.back * self._scale, 1))
            yield f'<rect class="down" x="{x}" y="{TOP}" width="{width}" height="{bottom - TOP}"/>'
            kind = "kill inside" if kill.inside else "kill"
            yield f'<line class="{kind}" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>'

    def numbers(self) -> Iterator[str]:
        for kill in self.seen.kills:
            x, kind = self.x(kill.at), "mark inside" if kill.inside else "mark"
            yield (
                f'<g class="{kind}"><circle cx="{x}" cy="{TOP - 12}" r="8.5"/><text x="{x}" y="{TOP - 8.6}" '
                f'text-anchor="middle">{kill.number}</text>{_title(f"kill {kill.number}: {kill.where}")}</g>'
            )

    def waits(self) -> Iterator[str]:
        """From the first question until its answer was used."""
        for question, step in _STEP_OF.items():
            asked = [note.at for note in self.seen.notes if note.kind == "end" and note.step == step]
            used = [note.at for note in self.seen.notes if note.kind == "used" and note.question == question]
            if asked:
                x, until = self.x(asked[0]), self.x(used[0] if used else self.seen.ended)
                yield (
                    f'<rect class="wait" x="{x}" y="{self.y(step) + 1}" width="{max(2.0, round(until - x, 1))}" '
                    f'height="{ROW - 2}" rx="2">{_title(f"waits for an answer to {question!r}")}</rect>'
                )

    def works(self) -> Iterator[str]:
        lanes: dict[tuple[int, int], int] = {}
        for work in sorted(works(self.seen), key=lambda each: each.note.at):
            note, life = work.note, sum(kill.at <= work.note.at for kill in self.seen.kills)
            lane = lanes[note.step, life] = lanes.get((note.step, life), -1) + 1
            tall = (ROW - 2) / PARTS if note.node == "piece" else ROW - 2
            y = self.y(note.step) + 1 + (lane % PARTS * tall if note.node == "piece" else 0)
            x, kind = self.x(note.at), "work cut" if work.cut else "work"
            told = f"{note.node} of super-step {note.step}" + (f", cut off by kill {work.cut}" if work.cut else "")
            yield (
                f'<rect class="{kind}" x="{x}" y="{round(y, 1)}" width="{max(2.2, round(self.x(work.until) - x, 1))}" '
                f'height="{round(tall, 1)}" rx="1">{_title(told)}</rect>'
            )

    def replies(self) -> Iterator[str]:
        for reply in self.seen.replies:
            taken = reply.status == TAKEN
            x, y = self.x(reply.at), self.y(_STEP_OF[reply.question]) + ROW / 2 + (-9 if taken else 9)
            told = f"terminal {reply.terminal}: {'taken' if taken else f'refused, {reply.status}'}"
            yield (
                f'<g class="reply {"taken" if taken else "refused"}"><circle cx="{x}" cy="{y}" r="6.5"/>'
                f'<text x="{x}" y="{y + 3}" text-anchor="middle">{escape(reply.terminal)}</text>{_title(told)}</g>'
            )


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"
