import asyncio
import threading

from durablegraph.threads import room_for_nodes


async def test_as_many_plain_functions_wait_at_a_time_as_there_is_room_for():
    room_for_nodes(40)
    met = threading.Barrier(40)

    await asyncio.wait_for(asyncio.gather(*[asyncio.to_thread(met.wait) for _ in range(40)]), 20)
