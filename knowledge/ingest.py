"""Keeps every tenant's lineage: learns from OpenLineage events as they come, and answers with the graph."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from core.errors import Poison
from core.ports import LineageStore
from knowledge.lineage import Lineage
from knowledge.openlineage import LineageError, learn


class LineageKeeper:
    """The graphs live in the store, so that every process sees the same; decoded ones are kept while unchanged."""

    def __init__(self, store: LineageStore) -> None:
        self.store = store
        self._decoded: dict[str, tuple[bytes | None, Lineage]] = {}
        self._lock = asyncio.Lock()

    async def of(self, tenant: str) -> Lineage | None:
        """The tenant's graph; None when nothing was ever said about it."""
        encoded = await self.store.lineage(tenant)
        if encoded is None:
            return None
        known = self._decoded.get(tenant)
        if known is None or known[0] != encoded:
            known = self._decoded[tenant] = (encoded, await asyncio.to_thread(Lineage.decode, encoded))
        return known[1]

    async def tell(self, tenant: str, facts: Callable[[Lineage], None]) -> None:
        """Adds what others than pipelines know (`facts` changes the graph it is given); a repeat writes nothing."""
        async with self._lock:
            graph = await self.of(tenant) or Lineage()
            before = graph.encode()
            facts(graph)
            if (encoded := graph.encode()) != before:
                await self.store.put_lineage(tenant, encoded)
            self._decoded[tenant] = (encoded, graph)

    async def on_lineage(self, messages: Sequence[Any]) -> None:
        """Messages (each with `tenant` and its `events`) into the graph. Raises Poison for a lone message that is not
        OpenLineage; among others its good events still count, and redelivery one by one names the bad one."""
        refused: list[str] = []
        async with self._lock:
            for tenant in {m.tenant for m in messages}:
                graph = await self.of(tenant) or Lineage()
                refused += [r for m in messages if m.tenant == tenant for r in _learnt(graph, m.events)]
                encoded = await asyncio.to_thread(graph.encode)
                await self.store.put_lineage(tenant, encoded)
                self._decoded[tenant] = (encoded, graph)
        if refused:
            raise Poison(refused[0])


def _learnt(graph: Lineage, events: Sequence[dict[str, Any]]) -> list[str]:
    """Reasons of the events that the graph did not take."""
    refused = []
    for event in events:
        try:
            learn(graph, event)
        except LineageError as error:
            refused.append(str(error))
    return refused
