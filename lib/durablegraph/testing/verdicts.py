"""What a test is told when things do not go as it expects. All but two are failures of the test."""


class Stuck(AssertionError):  # noqa: N818 -- a verdict on the app under test, read as a sentence
    """What the test waits for cannot come: nothing is due, or the time is up. The text says what is waited for."""


class WrongEnd(AssertionError):  # noqa: N818 -- as above
    """A run or an orchestration ended otherwise than the test needs it to."""


class NotDeterministic(AssertionError):  # noqa: N818 -- as above
    """An orchestrator gave two answers to one history."""


class CrashNeverCame(AssertionError):  # noqa: N818 -- as above
    """A crash was ordered for a moment that the test never reached: it would have passed without testing anything."""


class Refused(Exception):  # noqa: N818 -- a fact that a test may expect
    """The app's API refused a call; `status` is the HTTP status, `code` the problem's word, `problem` the document."""

    def __init__(self, problem: dict[str, object], status: int) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status, self.code, self.problem = status, problem.get("code"), problem


class HostDied(Exception):  # noqa: N818 -- a fact that a test may expect
    """The host died, as the test ordered, while it did what the test waits for: nobody hears how that ended."""


class ProcessEnded(BaseException):
    """Raised in code of a process that would be dead now: no `except Exception` may go on after it."""
