"""Threads for nodes that are plain functions.

LangGraph runs them in the event loop's default executor, which has a few threads more than the machine has cores: 6 on
two cores. Nodes mostly wait for a model, so a fan-out of 50 would run 6 at a time.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor


def room_for_nodes(threads: int) -> None:
    """Give the running loop an executor with so many threads; they are started as they are needed."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="node")
    asyncio.get_running_loop().set_default_executor(pool)
