"""The table of what happened, as text."""

from proof.evidence import TAKEN, Evidence, Kill, Reply


def heading(seed: int, kills: int) -> str:
    """What is going to be done, and the head of the table."""
    return (
        f"Seed {seed}. 40 super-steps, 3 questions, {kills} kills (SIGKILL to all of the host's processes).\n\n"
        f"{'kill':>4}  {'host back':>9}  {'run goes on':>11}  where"
    )


def row(kill: Kill) -> str:
    """One kill; times are seconds from the start of the next host."""
    return f"{kill.number:>4}  {kill.back:>7.1f} s  {kill.recovered:>9.1f} s  {kill.where}"


def reply_line(reply: Reply) -> str:
    """What one terminal was told."""
    told = "was taken" if reply.status == TAKEN else f"was refused, {reply.status} {reply.code}"
    broken = f", after {reply.broken} broken connections" if reply.broken else ""
    return f"terminal {reply.terminal}: its answer to “{reply.question}” {told}{broken}"


def summary(seen: Evidence, findings: list[str]) -> str:
    """The answers, the counts and the verdict."""
    begun = sum(note.kind == "begin" for note in seen.notes)
    lines = ["", *map(reply_line, seen.replies), ""]
    lines.append(
        f"{len(seen.kills)} kills, {sum(kill.inside for kill in seen.kills)} of them inside an activity; "
        f"{begun} executions of nodes; {seen.ended - seen.began:.0f} s."
    )
    if findings:
        return "\n".join([*lines, "NOT PROVEN:", *(f"  - {finding}" for finding in findings)])
    return "\n".join(
        [
            *lines,
            "PROVEN: the state and all its checkpoints equal plain invoke's, each answer was used exactly once,",
            "and no node of a committed super-step ran again.",
        ]
    )
