"""The verdict: pure decisions about the evidence. No finding, no doubt."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from proof.evidence import TAKEN, Evidence, Outcome, Reply

REFUSED = frozenset({409, 410})
"""What the second terminal may be told: somebody else was first, or the run has gone on."""

ASKING = "ask"


def judge(seen: Evidence) -> list[str]:
    """Everything that ought not to be, in words; empty when the proof holds."""
    return [
        *_endings(seen.outcome, seen.plain),
        *_answers(seen),
        *_repeated(seen),
        *_too_few(seen),
    ]


def accepted(replies: Sequence[Reply], question: str) -> list[Any]:
    """The answers that can have been taken: the one that was told so.

    When nobody was told, for the reply was lost with the host: those whose sender saw a connection break.
    """
    told = [reply for reply in replies if reply.question == question]
    taken = [reply.body for reply in told if reply.status == TAKEN]
    return taken or [reply.body for reply in told if reply.broken]


def _endings(outcome: Outcome, plain: Outcome) -> Iterator[str]:
    if outcome.status != plain.status:
        yield f"the run is {outcome.status}, plain invoke says {plain.status}"
    for name in sorted({*outcome.values, *plain.values}):
        found, expected = outcome.values.get(name), plain.values.get(name)
        if found != expected:
            yield f"the state's {name!r} is {found!r}, plain invoke gives {expected!r}"
    if len(outcome.history) != len(plain.history):
        yield f"the thread has {len(outcome.history)} checkpoints, plain invoke leaves {len(plain.history)}"
    for found_at, expected_at in zip(outcome.history, plain.history, strict=False):
        if found_at != expected_at:
            yield f"the checkpoint of super-step {found_at[0]} is not plain invoke's of super-step {expected_at[0]}"
            return


def _answers(seen: Evidence) -> Iterator[str]:
    in_state = Counter(each["question"] for each in seen.outcome.values.get("answers", []))
    for question, ids in seen.questions.items():
        if len(ids) != 1:
            yield f"the question {question!r} was asked under {len(ids)} ids, expected one"
        if in_state[question] != 1:
            yield f"the state holds {in_state[question]} answers to {question!r}, expected one"
        yield from _race(question, seen)
    if extra := set(in_state) - set(seen.questions):
        yield f"the state answers questions that nobody saw: {sorted(extra)}"


def _race(question: str, seen: Evidence) -> Iterator[str]:
    replies = [reply for reply in seen.replies if reply.question == question]
    takers = [reply.terminal for reply in replies if reply.status == TAKEN]
    if len(takers) > 1:
        yield f"the terminals {takers} were both told that their answer to {question!r} was taken"
    for reply in replies:
        if reply.status != TAKEN and reply.status not in REFUSED:
            told = f"{reply.status} {reply.code!r} for {question!r}"
            yield f"terminal {reply.terminal} was told {told}, expected 202, 409 or 410"
    possible = accepted(replies, question)
    used = [note.answer for note in seen.notes if note.kind == "used" and note.question == question]
    if not used:
        yield f"no answer to {question!r} was used"
    elif any(answer != used[0] for answer in used):
        yield f"two answers to {question!r} were used: {used}"
    elif used[0] not in possible:
        yield f"the answer to {question!r} that was used, {used[0]!r}, is none that was taken: {possible}"


def _repeated(seen: Evidence) -> Iterator[str]:
    for kill in seen.kills:
        for note in (each for each in seen.notes[kill.begun :] if each.kind == "begin"):
            again = f"{note.node!r} of super-step {note.step} ran again after kill {kill.number}"
            if note.step <= kill.committed:
                yield f"{again}, before which super-step {kill.committed} had been committed"
            elif note.task in kill.stored:
                yield f"{again}, before which its writes had been stored"
    for first, last in pairwise((0, *(kill.begun for kill in seen.kills), len(seen.notes))):
        begun = Counter((n.node, n.step, n.task) for n in seen.notes[first:last] if n.kind == "begin")
        for (node, step, _), times in begun.items():
            if times > 1 + (node == ASKING):
                yield f"{node!r} of super-step {step} ran {times} times in one life of the host"


def _too_few(seen: Evidence) -> Iterator[str]:
    if len(seen.kills) < seen.planned:
        yield f"the host was killed {len(seen.kills)} times before the run had ended, expected {seen.planned}"
    inside = sum(kill.inside for kill in seen.kills)
    if inside < seen.inside:
        yield f"{inside} kills were inside an activity, expected at least {seen.inside}"
