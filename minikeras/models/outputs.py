"""Match what users give for each output - losses, metrics, targets, weights - to the outputs."""

from typing import Any

from minikeras import tree


class Outputs:
    """The outputs of a model: their number, order and names.

    Args:
        y_pred: what the model returned for a batch.
        names: the names of a functional model's outputs, None if they have none.
    """

    def __init__(self, y_pred: Any, names: list[str] | None) -> None:
        self.count = len(tree.flatten(y_pred))
        self.names: list[str | None] = [None] * self.count
        if isinstance(y_pred, dict) and len(y_pred) == self.count:
            self.names = sorted(y_pred)
        elif names is not None and len(names) == self.count:
            self.names = list(names)

    def flat(self, structure: Any) -> list[Any]:
        """Return the leaves of a structure like that of the outputs, in the outputs' order."""
        return tree.flatten(structure) if tree.is_nested(structure) else [structure]

    def spread(self, what: str, given: Any) -> list[Any]:
        """Return for each output what `compile` was given: one thing for all, a list or a dict."""
        if isinstance(given, dict):
            unknown = sorted(set(given) - set(self.names))
            if unknown:
                raise ValueError(
                    f"compile: expected {what} for outputs {self._described()}, got {unknown} too."
                )
            return [given.get(name) for name in self.names]
        if isinstance(given, (list, tuple)):
            flat = self.flat(given) if len(given) != self.count else list(given)
            if len(flat) != self.count:
                raise ValueError(
                    f"compile: expected {what} with an entry for each of {self.count} outputs "
                    f"{self._described()}, got {len(given)}."
                )
            return flat
        return [given] * self.count

    def lists(self, what: str, given: Any) -> list[list[Any]]:
        """Return for each output the list of things that `compile` was given."""
        if not given:
            return [[] for _ in self.names]
        if not isinstance(given, (list, tuple, dict)):
            raise ValueError(
                f"compile: expected `{what}` as a list, tuple or dict, got {given!r}. Put it in "
                "brackets."
            )
        if self.count == 1:
            return [tree.flatten(given)]
        if not isinstance(given, dict) and len(given) != self.count:
            raise ValueError(
                f"compile: expected {what} with a list for each of {self.count} outputs "
                f"{self._described()}, got {given}."
            )
        return [[] if one is None else tree.flatten(one) for one in self.spread(what, given)]

    def matched(self, what: str, given: Any, needed: list[bool]) -> list[Any]:
        """Return targets or weights in the outputs' order, None where there are none.

        Args:
            what: "y" or "sample_weight".
            given: one array, a list or a dict by name; outputs that need none may be left out.
            needed: tells which outputs need one.
        """
        if given is None:
            return [None] * self.count
        if isinstance(given, dict):
            missing = [n for n, needs in zip(self.names, needed, strict=True) if needs]
            missing = [name for name in missing if name not in given]
            if missing:
                raise ValueError(
                    f"fit: expected {what} for outputs {self._described()}, got {sorted(given)}."
                )
            return [given.get(name) for name in self.names]
        flat = self.flat(given)
        if len(flat) == self.count:
            return flat
        if len(flat) == sum(needed):
            rest = iter(flat)
            return [next(rest) if needs else None for needs in needed]
        if len(flat) == 1 and what == "sample_weight":
            return flat * self.count
        raise ValueError(
            f"fit: expected {what} for {self.count} outputs {self._described()}, got {len(flat)}."
        )

    def _described(self) -> str:
        return "without names" if None in self.names else f"named {self.names}"


def free(label: str, taken: Any) -> str:
    """Return `label`, numbered if it is taken."""
    if label not in taken:
        return label
    return next(f"{label}_{i}" for i in range(1, len(taken) + 2) if f"{label}_{i}" not in taken)
