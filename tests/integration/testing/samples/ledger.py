"""What the samples keep in their process's memory."""

notes: list[str] = []
charges = 0
present = 0


def note(text: str) -> None:
    """Keep a line."""
    notes.append(text)
