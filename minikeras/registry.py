"""Find objects by name and describe them as Keras' JSON: names, recorded arguments, custom objects.

A room makes its objects known with `add(kind, ...)`; `get(kind, identifier)` turns a user's string,
config, class or object into an object.
"""

import contextlib
import difflib
import inspect
import re
import types
from collections.abc import Callable
from typing import Any, Self

from minikeras.errors import ConfigError

_kinds: dict[str, dict[str, Any]] = {}
_modules: dict[Any, str] = {}
"""The public module of each class and function; a name may stand for several of them."""
_custom: dict[str, Any] = {}


def snake_case(name: str) -> str:
    """Return a class name in Keras' snake case: `MaxPooling2D` is `max_pooling2d`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def add(kind: str, module: str, *objects: Any, **aliases: Any) -> None:
    """Make objects of one kind known by class or function name, snake case and aliases.

    Args:
        kind: such as `"initializer"`; what error messages call it.
        module: the public module that Keras' configs name, such as `"keras.initializers"`.
        objects: functions and classes.
        aliases: further names of theirs.
    """
    table = _kinds.setdefault(kind, {})
    for item in objects:
        name = item.__name__
        table.update({name: item, snake_case(name): item, name.lower(): item})
        _modules[item] = module
    table.update(aliases)


def known(kind: str) -> dict[str, Any]:
    """Return the table of everything known of one kind, by name."""
    return _kinds.get(kind, {})


def get(kind: str, identifier: Any) -> Any:
    """Return the object that a user means by a name, a config, a class, an object or None.

    Raises `ValueError` naming near matches for a name that nothing has.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return deserialize_keras_object(identifier)
    if isinstance(identifier, str):
        identifier = find(kind, identifier)
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier) or isinstance(identifier, Configurable):
        return identifier
    raise ValueError(
        f"{kind}: expected a name, a config, an object or None, got {identifier!r} of type "
        f"{type(identifier).__name__}."
    )


def find(kind: str, name: str) -> Any:
    """Return what is registered under `name`, custom objects first."""
    table = known(kind)
    for names in (_custom, table):
        if name in names:
            return names[name]
    if name.lower() in table:
        return table[name.lower()]
    near = difflib.get_close_matches(name, table, n=3)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise ValueError(f"{kind}: expected the name of a known {kind}, got {name!r}.{hint}")


# ---- recorded constructor arguments --------------------------------------------------------------


class Configurable:
    """Remember constructor arguments, so that `get_config` need not be written by hand."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__new__(cls)
        object.__setattr__(instance, "_recorded", (args, kwargs))
        return instance

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data, objects among them serialized."""
        return {name: serialize(value) for name, value in self._arguments().items()}

    def _arguments(self) -> dict[str, Any]:
        """Return argument values: as recorded for users' classes, as checked for those here.

        A user's `self.dropout = Dropout(dropout)` is not the argument `dropout` any more.
        """
        args, kwargs = self._recorded  # type: ignore[attr-defined]
        signature = inspect.signature(type(self).__init__)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        values: dict[str, Any] = {}
        ours = getattr(type(self).__init__, "__module__", "").startswith("minikeras.")
        for name, parameter in list(signature.parameters.items())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                values.update(bound.arguments[name])
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                given = bound.arguments[name]
                values[name] = getattr(self, name, given) if ours else given
        return values

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make an object from what `get_config` returned."""
        return cls(**{name: deserialize(value) for name, value in config.items()})


def serialize(value: Any) -> Any:
    """Return plain data for a constructor argument: names of functions, configs of objects."""
    if isinstance(value, Configurable):
        return serialize_keras_object(value)
    if isinstance(value, types.FunctionType) or (callable(value) and hasattr(value, "name")):
        return _function_config(value)
    if isinstance(value, (list, tuple)):
        return type(value)(serialize(item) for item in value)
    if isinstance(value, dict):
        return {key: serialize(item) for key, item in value.items()}
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    return value


def deserialize(value: Any) -> Any:
    """Undo `serialize`; what is no config of an object comes back as it is."""
    if isinstance(value, dict) and "class_name" in value and "config" in value:
        return deserialize_keras_object(value)
    if isinstance(value, (list, tuple)):
        return type(value)(deserialize(item) for item in value)
    return value


def _function_config(function: Any) -> Any:
    name = function.__name__
    if function in _modules or any(table.get(name) is function for table in _kinds.values()):
        return name
    registered = get_registered_name(function)
    return {"module": "builtins", "class_name": "function", "config": name,
            "registered_name": registered}  # fmt: skip


def serialize_keras_object(obj: Any) -> Any:
    """Return Keras' JSON form of an object: module, class name, config and registered name."""
    if obj is None or isinstance(obj, (str, int, float, bool)):
        return obj
    if not isinstance(obj, Configurable):
        return serialize(obj)
    cls = type(obj)
    registered = get_registered_name(cls)
    custom = registered != cls.__name__ or cls not in _modules
    return {
        "module": None if custom else _modules[cls],
        "class_name": cls.__name__,
        "config": obj.get_config(),
        "registered_name": registered if custom else None,
    }


def deserialize_keras_object(
    config: Any,
    custom_objects: dict[str, Any] | None = None,
    safe_mode: bool = True,  # noqa: ARG001 - there is no other mode
    **_: Any,
) -> Any:
    """Make the object that `serialize_keras_object` described.

    Only registered classes and functions are found; nothing is imported and no code in the file
    is run. Raises `ConfigError` for names that nothing is registered under.
    """
    if not isinstance(config, dict):
        return config
    with CustomObjectScope(custom_objects or {}):
        name = config.get("registered_name") or config.get("class_name")
        if config.get("class_name") == "function":
            return _named(config.get("registered_name") or config["config"])
        named = name if name in _custom else config.get("class_name")
        cls = _named(named, config.get("module"))
        if not (inspect.isclass(cls) and hasattr(cls, "from_config")):
            raise ConfigError(f"deserialize: expected a class with from_config, got {name!r}.")
        return cls.from_config(config.get("config", {}))


def _named(name: Any, module: Any = None) -> Any:
    """Return what is registered under `name`, that of `module` if there are several."""
    found = [table[name] for table in (_custom, *_kinds.values()) if name in table]
    if found:
        return next((item for item in found if _modules.get(item) == module), found[0])
    raise ConfigError(
        f"deserialize: expected a built-in or registered class or function, got {name!r}. "
        "Register your own with @register_keras_serializable() or pass custom_objects=."
    )


# ---- custom objects ------------------------------------------------------------------------------


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Any], Any]:
    """Decorate a class or function so that saved configs may name it, as `package>name`."""

    def decorate(item: Any) -> Any:
        registered = f"{package}>{name or item.__name__}"
        item._registered_name = registered
        _custom[registered] = item
        return item

    return decorate


def get_registered_name(obj: Any) -> str:
    """Return the name under which a class or function is registered, else its own."""
    return str(vars(obj).get("_registered_name") or obj.__name__)


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: Any = None
) -> Any:
    """Return the class or function registered under `name`, or None."""
    for table in (custom_objects or {}, _custom, module_objects or {}):
        if name in table:
            return table[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """Return the dictionary of custom objects, which may be changed."""
    return _custom


class CustomObjectScope(contextlib.AbstractContextManager["CustomObjectScope"]):
    """Make custom objects known by name for the length of a `with` block."""

    def __init__(self, custom_objects: dict[str, Any]) -> None:
        self._objects = custom_objects
        self._before: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._before = dict(_custom)
        _custom.update(self._objects)
        return self

    def __exit__(self, *_: object) -> None:
        _custom.clear()
        _custom.update(self._before)


custom_object_scope = CustomObjectScope
