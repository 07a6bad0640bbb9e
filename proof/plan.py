"""The plan of the kills: all chance of the proof is here, and follows from the seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Moment(StrEnum):
    """What a kill waits for."""

    INSIDE = "inside"  # a node has begun and has not ended
    ENDING = "ending"  # a node has just ended: its writes, the commit, the next decision
    ANYWHERE = "anywhere"  # any time around this super-step
    WAITING = "waiting"  # the run waits for an answer
    ANSWERING = "answering"  # both terminals are sending


AT_QUESTIONS = frozenset({Moment.WAITING, Moment.ANSWERING})
_OTHERS = (Moment.ENDING, Moment.ENDING, Moment.ANYWHERE)
_LAST = 0.9  # of all super-steps: the rest is left for the run to come to its end


@dataclass(frozen=True, slots=True)
class Planned:
    """A kill: not before super-step `step` has begun, `delay` seconds after the moment has come."""

    moment: Moment
    step: int
    delay: float


def plan(rng: random.Random, kills: int, steps: int, asks: Sequence[int], *, inside: int, pace: float) -> list[Planned]:
    """So many kills, spread over the run, at least `inside` of them (or all) while a node is at work.

    Of the others some wait for a question, as many again for its answers, as far as there are questions and kills.
    """
    inside = min(inside, kills)
    spare = kills - inside
    questions = [(moment, step) for step in asks for moment in (Moment.WAITING, Moment.ANSWERING)]
    chosen = rng.sample(questions, min(len(questions), spare // 2))
    planned = [Planned(moment, step, _delay(rng, moment, pace)) for moment, step in chosen]
    moments = [Moment.INSIDE] * inside + rng.choices(_OTHERS, k=spare - len(chosen))
    rng.shuffle(moments)
    for number, moment in enumerate(moments):
        share = (number + rng.random()) / len(moments)
        planned.append(Planned(moment, 1 + int(share * (steps * _LAST - 1)), _delay(rng, moment, pace)))
    return sorted(planned, key=lambda each: each.step)


def _delay(rng: random.Random, moment: Moment, pace: float) -> float:
    match moment:
        case Moment.INSIDE:
            return rng.uniform(0.05, 0.6) * pace
        case Moment.ENDING:
            return rng.uniform(0, 0.015)
        case Moment.ANSWERING:
            return rng.uniform(0, 0.06)
        case Moment.ANYWHERE | Moment.WAITING:
            return rng.uniform(0, 1.5) * pace
