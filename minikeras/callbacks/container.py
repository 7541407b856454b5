"""Call many callbacks as one."""

from collections.abc import Callable
from typing import Any, NamedTuple

from minikeras import tree
from minikeras.callbacks.base import Callback, History
from minikeras.callbacks.logs import Logs
from minikeras.callbacks.progress import ProgbarLogger


class Hooks(NamedTuple):
    """What to call for batches: before the one of a number, and after it with the logs."""

    begin: Callable[[int], None]
    end: Callable[[int, Any], None]
    every: bool
    """Whether for every batch; else it will do to call them for the first and last of several."""


class CallbackList(Callback):
    """Hand every call on to a list of callbacks, in order.

    Args:
        callbacks: callbacks, nested in lists as you like.
        add_history: whether to add a `History` if there is none.
        add_progbar: whether to add a `ProgbarLogger` if there is none.
        model: the model they are to know.
        **params: the parameters they are to know.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks = tree.flatten(callbacks) if callbacks else []
        for callback in self.callbacks:
            if isinstance(callback, type) or not hasattr(callback, "on_epoch_end"):
                raise TypeError(
                    f"CallbackList: expected instances of Callback, got {callback!r}."
                    f"{' Call it: the class is no instance.' * isinstance(callback, type)}"
                )
        self._loops = 0
        self._known: list[Any] = []
        self._hearing: dict[str, list[Any]] = {}
        self._history = self._found(History, add_history)
        self._found(ProgbarLogger, add_progbar)
        self.set_model(model)
        self.set_params(params)

    def _found(self, kind: Any, add: bool) -> Any:
        for callback in self.callbacks:
            if isinstance(callback, kind):
                return callback
        if not add:
            return None
        self.callbacks.append(kind())
        return self.callbacks[-1]

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        if model is None:
            return
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    def _batch(self, hook: str, batch: int, logs: Any) -> None:
        if self._known != self.callbacks:
            self._known, self._hearing = list(self.callbacks), {}
        hearing = self._hearing.get(hook)
        if hearing is None:
            hearing = self._hearing[hook] = [c for c in self._known if _hears(c, hook)]
        if hearing:
            logs = Logs(logs)
            for callback in hearing:
                getattr(callback, hook)(batch, logs=logs)

    def hooks(self, what: str) -> Hooks:
        """Return what to call for the batches of `"train"`, `"test"` or `"predict"`."""
        begin, end = f"on_{what}_batch_begin", f"on_{what}_batch_end"
        every = type(self) is not CallbackList or any(
            _hears(callback, hook, _content(callback))
            for callback in self.callbacks
            for hook in (begin, end)
        )
        return Hooks(getattr(self, begin), getattr(self, end), every)

    def _epoch(self, hook: str, *args: Any) -> None:
        *place, logs = args
        logs = Logs(logs)
        for callback in self.callbacks:
            getattr(callback, hook)(*place, logs)

    def _begin(self, hook: str, logs: Any) -> None:
        self._loops += 1
        self._epoch(hook, logs)

    def _end(self, hook: str, logs: Any) -> None:
        self._epoch(hook, logs)
        self._loops -= 1
        if self._loops < 0:
            raise ValueError("`on_xxx_end` called without corresponding `on_xxx_begin`")

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._batch("on_batch_begin", batch, logs)

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batch("on_batch_end", batch, logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batch("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batch("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batch("on_predict_batch_end", batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._epoch("on_epoch_end", epoch, logs)

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin("on_train_begin", logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._end("on_train_end", logs)

    def on_test_begin(self, logs: Any = None) -> None:
        self._begin("on_test_begin", logs)

    def on_test_end(self, logs: Any = None) -> None:
        self._end("on_test_end", logs)

    def on_predict_begin(self, logs: Any = None) -> None:
        self._begin("on_predict_begin", logs)

    def on_predict_end(self, logs: Any = None) -> None:
        self._end("on_predict_end", logs)


def _hears(callback: Any, hook: str, kind: Any = Callback) -> bool:
    """Tell whether a callback does something at a batch that `kind` does not; most do nothing."""
    names = (hook, hook.replace("_train", ""))
    own = (getattr(getattr(callback, name, None), "__func__", None) for name in names)
    return any(o is not getattr(kind, name) for o, name in zip(own, names, strict=True))


def _content(callback: Any) -> Any:
    """Return the class whose hooks need not be called for every batch.

    `every_batch` is said of the hooks that a class has, not of those that others add to them.
    """
    if getattr(callback, "every_batch", True):
        return Callback
    kinds = (kind for kind in type(callback).__mro__ if "every_batch" in vars(kind))
    return next(kinds, Callback)
