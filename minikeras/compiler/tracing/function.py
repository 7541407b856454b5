"""`function`: trace a Python function once for each kind of arguments, and run the trace."""

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.compiler.tracing.concrete import Concrete, all_eager
from minikeras.compiler.tracing.retracing import Retracing
from minikeras.compiler.tracing.signature import Identity, Signature, described, note
from minikeras.compiler.tracing.specialized import ConcreteFunction, is_tensor
from minikeras.compiler.tracing.trace import Graph, slotted, trace
from minikeras.core.context import state
from minikeras.core.graph import Slot, fill
from minikeras.core.spec import TensorSpec
from minikeras.core.tensor import Array, EagerTensor, as_tensor

_eager = False
_NEVER: tuple[Any, ...] = (-1, None, (), None)


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Let every `function` run as it is written, for debugging, or be traced again."""
    global _eager
    _eager = bool(run_eagerly)


def functions_run_eagerly() -> bool:
    """Tell whether every `function` runs as it is written."""
    return _eager


class TooManyTracesError(Exception):
    """A function has as many traces as it may have, and none of them fits the arguments."""


class Function:
    """A Python function that is traced once for each kind of arguments, and then runs as a whole.

    See `function` for the arguments; `most` is how many traces there may be.
    """

    def __init__(
        self,
        python_function: Callable[..., Any],
        input_signature: Any = None,
        name: str | None = None,
        instance: "weakref.ref[Any] | None" = None,
        most: int | None = None,
        **options: Any,
    ) -> None:
        own = ("__dict__",) if inspect.isfunction(python_function) else ()
        functools.update_wrapper(self, python_function, updated=own)
        self.__name__ = name or str(getattr(python_function, "__name__", "function"))
        self._python = python_function
        self._input_signature = input_signature
        self._options = options
        self._instance = instance
        self._most = most
        self.parameters = Signature(python_function, input_signature, int(instance is not None))
        self.__signature__ = self.parameters.inspected
        self._cache: dict[Any, Concrete] = {}
        self._retracing = Retracing()
        self._tracing = threading.RLock()
        self._bound: dict[int, Function] = {}
        self._fast = _NEVER
        self._calls = self._traces = 0
        self.failed_to_trace = False
        """Whether the last attempt to trace ended in an error."""

    # -- calling -------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the trace that fits the arguments; make it if there is none."""
        self._calls += 1
        count, training, specs, concrete = self._fast
        if (
            len(args) == count
            and not kwargs
            and state.scope is None
            and not state.recorders
            and state.training is training
            and not _eager
        ):
            arrays = []
            foreign = False
            for arg, (dtype, shape) in zip(args, specs, strict=False):
                kind = type(arg)
                if kind is EagerTensor:
                    array = arg.array
                elif kind is np.ndarray:
                    array, foreign = arg, True
                else:
                    break
                if array.dtype is not dtype or array.shape != shape:
                    break
                arrays.append(array)
            else:
                return concrete.run(arrays, foreign)
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        values, named = self.parameters.bind(args, kwargs)
        if _eager or (state.trace is not None and state.scope is not None):
            return self.python_function(*values, **named)
        key: list[Any] = [state.training]
        leaves: list[Any] = []
        note((values, named), key, leaves)
        if not all_eager(leaves):
            return self.python_function(*values, **named)
        concrete = self._cache.get(tuple(key)) or self._traced(tuple(key), values, named)
        if state.scope is None and not state.recorders:
            self._remember(concrete, args, kwargs, leaves)
            foreign = any(type(leaf) is np.ndarray for leaf in leaves)
            arrays = [x if type(x) is np.ndarray else x.array for x in leaves]
            return concrete.run(arrays, foreign)
        current = concrete.values()
        if not all_eager(current):  # the shapes of a layer around are being found out
            return self.python_function(*values, **named)
        return concrete.run_open([as_tensor(leaf) for leaf in leaves], current)

    def _remember(
        self, concrete: Concrete, args: Any, kwargs: dict[str, Any], leaves: Sequence[Any]
    ) -> None:
        """Let the next call find this trace quickly if all its arguments are tensors."""
        if kwargs or len(args) != len(leaves) or not all(map(_is_array, args)):
            return
        arrays = [leaf if type(leaf) is np.ndarray else leaf.array for leaf in leaves]
        specs = [(array.dtype, array.shape) for array in arrays]
        self._fast = (len(args), state.training, specs, concrete)

    def several(self, args: Sequence[Array]) -> tuple[int, Any]:
        """Call this for each row of the arguments, stacked arrays, in one go.

        Returns how many calls were made, from the first row on, and what the last one returned.
        There is none unless the call before was of this kind and native code does all of it.
        """
        _, training, specs, concrete = self._fast
        rows = {len(array) for array in args}
        if (
            concrete is None
            or not concrete.has_turns
            or len(rows) != 1
            or rows == {0}
            or [(array.dtype, array.shape[1:]) for array in args] != specs
            or not all(array.flags.c_contiguous for array in args)
            or state.scope is not None
            or state.recorders
            or state.training is not training
            or _eager
        ):
            return 0, None
        done, results = concrete.several(list(args), False)
        self._calls += done
        return done, results if done else None

    # -- tracing -------------------------------------------------------------------------------

    @property
    def python_function(self) -> Callable[..., Any]:
        """The function as it was written."""
        if self._instance is None:
            return self._python
        instance = self._instance()
        if instance is None:
            raise ReferenceError(
                f"{self.__name__}: its object is gone. Give the object a name before calling this."
            )
        return functools.partial(self._python, instance)

    def _traced(self, key: tuple[Any, ...], values: Any, named: dict[str, Any]) -> Concrete:
        with self._tracing:
            found = self._cache.get(key)  # another thread may have been quicker
            if found is None:
                self._forget()
                if len(self._cache) == self._most:
                    raise TooManyTracesError
                arguments = described(self.parameters.names, values, named)
                found = self._new(values, named)
                self._cache[key] = found
                self._retracing.traced(self.__name__, self._calls, arguments)
        return found

    def _new(self, values: Any, named: dict[str, Any]) -> Concrete:
        self.failed_to_trace = True
        graph = self.only_graph(values, named)
        self._traces += 1
        self.failed_to_trace = False
        again = _rerun(graph.replayable, self, values, named)
        return Concrete(graph, again, Function)

    def only_graph(self, values: Any, named: dict[str, Any]) -> Graph:
        """Trace, for arguments that may be TensorSpecs, and do not keep what came out."""
        try:
            return trace(
                _tensors_of(self.python_function),
                values,
                named,
                name=self.__name__,
                parameters=self.parameters.names,
                creates=not self._traces,
            )
        except Exception as error:
            error.add_note(f"While '{self.__name__}' was traced, see minikeras.function.")
            raise

    def compiled_graph(self, values: Any, named: dict[str, Any]) -> Graph:
        return self._for(values, named).graph

    def _forget(self) -> None:
        """Drop the traces for objects that are gone."""
        gone = [key for key in self._cache if any(type(x) is Identity and x.dead() for x in key)]
        for key in gone:
            del self._cache[key]

    # -- methods -------------------------------------------------------------------------------

    def __get__(self, instance: Any, owner: type | None = None) -> "Function":
        """Return the function of one object, which has its own traces and dies with it."""
        if instance is None:
            return self
        number = id(instance)
        found = self._bound.get(number)
        if found is None or found._instance is None or found._instance() is not instance:
            table = self._bound
            alive = weakref.ref(instance, lambda _: table.pop(number, None))
            found = table[number] = Function(
                self._python, self._input_signature, instance=alive, **self._options
            )
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        if self._instance is not None:
            return getattr, (self._instance(), self.__name__)
        return Function, (self._python, self._input_signature)

    # -- looking inside ------------------------------------------------------------------------

    @property
    def input_signature(self) -> Any:
        """The TensorSpecs given to `function`."""
        return self.parameters.specs

    def experimental_get_tracing_count(self) -> int:
        """Return how often this was traced."""
        return self._traces

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> ConcreteFunction:
        """Return the function for one kind of arguments: TensorSpecs, tensors, Python values."""
        if not args and not kwargs and self.parameters.specs is not None:
            args = self.parameters.specs
        values, named = self.parameters.bind(args, kwargs)
        return ConcreteFunction(self, values, named)

    def pretty_printed_concrete_signatures(self, verbose: bool = True) -> str:
        """Return the graphs' first lines: what was traced so far."""
        return "\n".join(str(c.graph).split("\n", 1)[0] for c in self._cache.values())

    def graph(self, *args: Any, **kwargs: Any) -> str:
        """Return as text the graph for these arguments, before and after it was simplified.

        Without arguments, all graphs traced so far.
        """
        return "\n\n".join(_before_and_after(c) for c in self._chosen(args, kwargs))

    def explain(self, *args: Any, **kwargs: Any) -> str:
        """Return as text how the graphs are run: what is native, what is fused, what is not."""
        chosen = self._chosen(args, kwargs)
        return "\n\n".join(str(concrete.execute.explain()) for concrete in chosen)  # type: ignore[attr-defined]

    def _chosen(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Concrete]:
        if self._cache and not args and not kwargs:
            return list(self._cache.values())
        values, named = self.parameters.bind(args, kwargs)
        return [self._for(values, named)]

    def _for(self, values: Any, named: dict[str, Any]) -> Concrete:
        """Return the trace for arguments that may be TensorSpecs, without running it."""
        key: list[Any] = [state.training]
        leaves: list[Any] = []
        arrays = tree.map_structure(_stand_in, (values, named))
        note(arrays, key, leaves)
        return self._cache.get(tuple(key)) or self._traced(tuple(key), *arrays)

    def __repr__(self) -> str:
        return f"<minikeras.function {self.__name__}{self.__signature__}>"


def _tensors_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function return tensors instead of Python's numbers."""
    number = lambda x: as_tensor(x) if type(x) in (bool, int, float) else x
    return lambda *args, **kwargs: tree.map_structure(number, function(*args, **kwargs))


def _before_and_after(concrete: Concrete) -> str:
    simplified = getattr(concrete.execute, "simplified", None)
    if simplified is None or str(simplified) == str(concrete.graph):
        return str(concrete.graph)
    return f"{concrete.graph}\n\nsimplified:\n{simplified}"


def _is_array(arg: Any) -> bool:
    return type(arg) is EagerTensor or type(arg) is np.ndarray


def _stand_in(leaf: Any) -> Any:
    """Return a tensor of the shape and dtype that a TensorSpec says, which takes no memory."""
    if not isinstance(leaf, TensorSpec):
        return leaf
    if leaf.shape is None or None in leaf.shape:
        raise ValueError(
            f"function: expected known lengths to trace for, got {leaf}. Pass a tensor, or a "
            "TensorSpec without None."
        )
    return EagerTensor(np.broadcast_to(np.zeros((), leaf.dtype.name), tuple(leaf.shape)))


def _rerun(
    replayable: bool, function: Function, values: Any, named: dict[str, Any]
) -> Callable[[Sequence[Any]], list[Any]]:
    """Return what runs a function again on other tensors, and returns its tensors."""
    if replayable:
        return list  # nobody needs it
    numbers = iter(range(10**9))
    slots = tree.map_structure(
        lambda x: Slot(next(numbers)) if is_tensor(x) else x, [values, named]
    )

    def again(tensors: Sequence[Any]) -> list[Any]:
        args, kwargs = fill(slots, tensors)
        return slotted(_tensors_of(function.python_function)(*args, **kwargs))[1]

    return again


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Any = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    **options: Any,
) -> Any:
    """Trace a function once for each kind of arguments, and run the trace from then on.

    Kinds differ in nesting, in shapes and dtypes of tensors and arrays, in Python values, in
    Variables, and in the `training` flag of a layer around. Python itself runs at tracing only;
    what `tf.print` is given is printed after each run.

    Args:
        func: the function or method; None returns a decorator.
        input_signature: a TensorSpec, or a nest of them, for each positional argument: what is
            passed is converted to their dtypes, and must have their shapes.
        autograph: TensorFlow's; `if` and `while` on tensors are never rewritten. Use `ops.where`,
            `ops.cond` and `ops.while_loop`.
        jit_compile: TensorFlow's; whatever can be compiled is.
        reduce_retracing: TensorFlow's; every shape is traced for itself.

    >>> @minikeras.function
    ... def area(radius):
    ...     return 3.14159 * radius**2
    >>> float(area(tf.constant(2.0)))
    12.566360...
    """
    options |= {
        "autograph": autograph,
        "jit_compile": jit_compile,
        "reduce_retracing": reduce_retracing,
    }
    if func is None:
        return functools.partial(Function, input_signature=input_signature, **options)
    return Function(func, input_signature, **options)
