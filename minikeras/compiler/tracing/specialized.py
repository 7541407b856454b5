"""Hold a function to one kind of arguments: `get_concrete_function`."""

from typing import Any

import numpy as np

from minikeras import tree
from minikeras.compiler.tracing.signature import conformed
from minikeras.core.dispatch import probe
from minikeras.core.graph import fill
from minikeras.core.spec import Spec, TensorSpec
from minikeras.core.tensor import SymbolicTensor, Tensor


class ConcreteFunction:
    """A function for one kind of arguments, whose open axes may have any length.

    Args:
        function: whose traces these are.
        values: positional arguments, TensorSpecs and tensors for any such tensors.
        named: keyword arguments.
    """

    def __init__(self, function: Any, values: Any, named: dict[str, Any]) -> None:
        self.function = function
        self.name = self.__name__ = function.__name__
        names = [*function.parameters.names, *["args"] * len(values)]
        self.structured_input_signature = (
            tuple(_specified(nest, name) for nest, name in zip(values, names, strict=False)),
            {name: _specified(nest, name) for name, nest in named.items()},
        )
        specs = list(filter(_is_spec, tree.flatten(self.structured_input_signature)))
        if any(spec.shape is None for spec in specs):
            raise ValueError(
                f"{self.name}: expected TensorSpecs of known rank for a concrete function, got "
                f"{specs}. Use None for open axes only."
            )
        self.inputs = [_symbol(spec) for spec in specs]
        self.structured_outputs = self._outputs()
        self.outputs = list(filter(is_tensor, tree.flatten(self.structured_outputs)))

    def _outputs(self) -> Any:
        """Return the results with symbolic tensors, whose open axes follow from the inputs'."""
        structures = []
        closed = all(x.shape.is_fully_defined() for x in self.inputs)
        graph_of = self.function.compiled_graph if closed else self.function.only_graph

        def run(*specs: Spec) -> Any:
            rest = iter(specs)
            graph = graph_of(
                *tree.map_structure(
                    lambda x: TensorSpec((s := next(rest)).shape, s.dtype) if _is_spec(x) else x,
                    self.structured_input_signature,
                )
            )
            structures.append(graph.structure)
            results = graph.outputs[: graph.results]
            return [Spec(y.plain_shape, np.dtype(y.dtype.name)) for y in results]

        found = probe(run, [Spec(x._shape, x._dtype) for x in self.inputs])
        return fill(structures[-1], [SymbolicTensor(y.shape, y.dtype) for y in found])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function.

        Arguments that are no tensors are those it was made for, and may be left out.
        """
        values, named = self.structured_input_signature
        names = self.function.parameters.names
        wanted = {**dict(zip(names, values, strict=False)), **named}
        given = dict(kwargs)
        if len(args) > len(values) or not given.keys() <= wanted.keys():
            raise self._misfit(args, kwargs)
        tensors = [
            i
            for i, nest in enumerate(values)
            if _holds_spec(nest) and not (i < len(names) and names[i] in given)
        ]
        places = tensors if len(args) <= len(tensors) else range(len(values))
        positional = dict(zip(places, args, strict=False))
        by_name = {i: given.pop(name) for i, name in enumerate(names) if name in given}
        merged = [
            self._fitting(nest, {**positional, **by_name}.get(i, nest), args, kwargs)
            for i, nest in enumerate(values)
        ]
        rest = {
            name: self._fitting(nest, given.get(name, nest), args, kwargs)
            for name, nest in named.items()
        }
        return self.function(*merged, **rest)

    def _fitting(self, wanted: Any, value: Any, args: Any, kwargs: Any) -> Any:
        """Return an argument as it was specified; raise `TypeError` if it is not."""
        if not _holds_spec(wanted):
            if value is not wanted and value != wanted:
                raise self._misfit(args, kwargs)
            return wanted
        if value is wanted:
            raise self._misfit(args, kwargs)
        return conformed(wanted, value)

    def _misfit(self, args: Any, kwargs: Any) -> TypeError:
        return TypeError(
            f"{self.name}: expected arguments as in {self.structured_input_signature}, got {args} "
            f"and {kwargs}. Leave out what is no tensor."
        )

    def __repr__(self) -> str:
        return f"<ConcreteFunction {self.name}{self.structured_input_signature}>"


def _is_spec(leaf: Any) -> bool:
    return isinstance(leaf, TensorSpec)


def _holds_spec(nest: Any) -> bool:
    return any(map(_is_spec, tree.leaves(nest)))


def _specified(nest: Any, name: str) -> Any:
    """Replace tensors in a nest by TensorSpecs that are called after their argument."""

    def spec(leaf: Any) -> Any:
        if not isinstance(leaf, (Tensor, np.ndarray, np.generic, TensorSpec)):
            return leaf
        return TensorSpec(leaf.shape, leaf.dtype, getattr(leaf, "name", None) or name)

    return tree.map_structure(spec, nest)


def _symbol(spec: TensorSpec) -> SymbolicTensor:
    shape = () if spec.shape is None else tuple(spec.shape)
    return SymbolicTensor(shape, np.dtype(spec.dtype.name), name=spec.name)


def is_tensor(leaf: Any) -> bool:
    """Tell whether a trace stands for any numbers in the place of this leaf."""
    return isinstance(leaf, (Tensor, np.ndarray, np.generic))
