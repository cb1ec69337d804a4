"""Which nodes have room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypoxia_hpc.simulation.cluster import Cluster


class Room(NamedTuple):
    """What an element needs: ``nodes`` nodes, and on each of them ``cores`` and ``gpus``."""

    nodes: int
    cores: int
    gpus: int


class Nodes:
    """Free cores and GPUs of each node; the first nodes that have room are taken."""

    def __init__(self, cluster: Cluster) -> None:
        self._all = range(cluster.nodes)
        self._cores, self._gpus = [cluster.cores] * cluster.nodes, [cluster.gpus] * cluster.nodes
        self.whole = Room(1, cluster.cores, cluster.gpus)
        self.down: dict[int, float] = {}  # until when

    def find(self, room: Room) -> Sequence[int]:
        """Numbers of nodes with that room; none where there are too few."""
        found: list[int] = []
        for node in self._all:
            if self._cores[node] >= room.cores and self._gpus[node] >= room.gpus and node not in self.down:
                found.append(node)
                if len(found) == room.nodes:
                    return found
        return ()

    def unfit(self, room: Room) -> float:
        """The part of an empty node that is left when as many such elements as fit are on it, 0..1."""
        pairs = ((room.cores, self.whole.cores), (room.gpus, self.whole.gpus))
        return max(0.0, 1 - min(of // one for one, of in pairs if one) * max(one / of for one, of in pairs if one))

    def take(self, room: Room, nodes: Sequence[int]) -> None:
        """The room on each of these nodes is used from now on."""
        for node in nodes:
            self._cores[node] -= room.cores
            self._gpus[node] -= room.gpus

    def free(self, room: Room, nodes: Sequence[int]) -> None:
        """It is free again."""
        self.take(Room(room.nodes, -room.cores, -room.gpus), nodes)
