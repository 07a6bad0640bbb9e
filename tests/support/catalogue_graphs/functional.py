"""The functional API: @entrypoint and @task."""

from typing import Any

from langgraph.func import entrypoint, task
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy, interrupt

from tests.support.catalogue_graphs.case import case


@case(input={"numbers": [3, 1, 2]})
def entrypoint_with_tasks():
    """Tasks in parallel and one after the other."""

    @task
    def square(number: int) -> int:
        return number * number

    @task
    def add(numbers: list[int]) -> int:
        return sum(numbers)

    @entrypoint()
    def workflow(given: dict) -> dict:
        squares = [future.result() for future in [square(n) for n in given["numbers"]]]
        return {"squares": squares, "total": add(squares).result()}

    return workflow


@case(input={"topic": "trains"}, answer=lambda v: f"{v} are fine", asks=1)
def entrypoint_with_interrupt():
    """A finished task is not run again when the workflow goes on after a question."""

    @task
    def draft(topic: str) -> str:
        return f"about {topic}"

    @entrypoint()
    def workflow(given: dict) -> dict:
        text = draft(given["topic"]).result()
        return {"draft": text, "review": interrupt(text)}

    return workflow


@case(input={"topic": "trains"}, answer=lambda v: f"yes {v}", asks=2)
def entrypoint_with_interrupt_in_tasks():
    """Tasks ask, one after the other."""

    @task
    async def ask(question: str) -> str:
        return interrupt(question)

    @entrypoint()
    async def workflow(given: dict) -> list[str]:
        return [await ask("first"), await ask("second")]

    return workflow


@case(input=3, later=(4, 5))
def entrypoint_final():
    """What is returned and what is remembered differ."""

    @entrypoint()
    def workflow(given: int, *, previous: Any = None) -> Any:
        return entrypoint.final(value={"returned": given}, save=[previous, given])

    return workflow


@case(input={"n": 1})
def entrypoint_with_retry():
    """A task is retried."""

    @task(retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=False, retry_on=ConnectionError))
    def flaky(n: int, runtime: Runtime) -> int:
        if runtime.execution_info.node_attempt < 3:
            raise ConnectionError("not yet")
        return n + runtime.execution_info.node_attempt

    @entrypoint()
    def workflow(given: dict) -> int:
        return flaky(given["n"]).result()

    return workflow


@case(input={"n": 1}, raises="ValueError")
def entrypoint_that_fails():
    """A task fails the workflow."""

    @task
    def boom(n: int) -> int:
        raise ValueError(f"boom {n}")

    @entrypoint()
    def workflow(given: dict) -> int:
        return boom(given["n"]).result()

    return workflow
