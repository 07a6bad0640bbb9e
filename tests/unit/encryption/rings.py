"""Key rings of tests: local keys, and one that counts what it is asked."""

import asyncio
from collections import Counter

from durablegraph.storage.encryption import LocalKeys

V1, V2, V3 = (bytes([number]) * 32 for number in (1, 2, 3))


def ring(*ids: str) -> LocalKeys:
    """Keys v1, v2, v3, the first named is active."""
    return LocalKeys({id_: {"v1": V1, "v2": V2, "v3": V3}[id_] for id_ in ids})


class CountingRing:
    """A ring that takes its time, counts, and whose active key can be changed."""

    def __init__(self, *ids: str) -> None:
        self._keys = ring(*ids)
        self.active = self._keys.active
        self.asked: Counter[str] = Counter()

    async def wrap(self, key_id: str, data_key: bytes) -> bytes:
        self.asked["wrap"] += 1
        await asyncio.sleep(0)
        return await self._keys.wrap(key_id, data_key)

    async def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        self.asked["unwrap"] += 1
        await asyncio.sleep(0)
        return await self._keys.unwrap(key_id, wrapped)
