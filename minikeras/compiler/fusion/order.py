"""Put groups in order: a result is used while it is in the cache, old values before new ones."""

import heapq
from collections.abc import Iterable, Sequence

from minikeras.compiler.fusion.groups import Fusion, Group


class Order:
    """The groups of a fusion and what must come before what.

    Results that replace an input in place come after everything that reads the old value.
    """

    def __init__(self, fusion: Fusion) -> None:
        self.fusion = fusion
        self.groups = fusion.groups
        self._numbers = {id(group): i for i, group in enumerate(self.groups)}
        self._needs: list[set[int]] = [
            {self._numbers[id(maker)] for maker in fusion.before(group)} for group in self.groups
        ]

    def require(self, before: Iterable[Group], after: Group) -> bool:
        """Let groups come before another; return False, and change nothing, if that cannot be."""
        last = self._numbers[id(after)]
        first = {self._numbers[id(group)] for group in before} - {last}
        if any(self._depends(number, last) for number in first):
            return False
        self._needs[last] |= first
        return True

    def _depends(self, number: int, other: int) -> bool:
        seen, stack = {number}, [number]
        while stack:
            for needed in self._needs[stack.pop()]:
                if needed == other:
                    return True
                if needed not in seen:
                    seen.add(needed)
                    stack.append(needed)
        return False

    def sorted(self) -> Sequence[Group]:
        """Return the groups in order: of those that are ready, what was made last is used first."""
        waiting = [len(needs) for needs in self._needs]
        users: list[list[int]] = [[] for _ in self.groups]
        for number, needs in enumerate(self._needs):
            for needed in needs:
                users[needed].append(number)
        ready = [(0, number) for number, count in enumerate(waiting) if not count]
        heapq.heapify(ready)
        found: list[Group] = []
        while ready:
            _, number = heapq.heappop(ready)
            found.append(self.groups[number])
            for user in users[number]:
                waiting[user] -= 1
                if not waiting[user]:
                    heapq.heappush(ready, (-len(found), user))
        assert len(found) == len(self.groups)
        return found
