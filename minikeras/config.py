"""Hold the few global settings of Keras: default float type, fuzz factor, image layout."""

_FLOATS = ("float16", "float32", "float64")
_LAYOUTS = ("channels_last", "channels_first")

_settings = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def backend() -> str:
    """Return `"numpy"`, the name of the only backend."""
    return "numpy"


def floatx() -> str:
    """Return the default floating type of weights and of Python numbers."""
    return _settings["floatx"]  # type: ignore[return-value]


def set_floatx(value: str) -> None:
    """Set the default floating type: `"float16"`, `"float32"` or `"float64"`."""
    _settings["floatx"] = _one_of("set_floatx", str.__str__(value), _FLOATS)


def epsilon() -> float:
    """Return the fuzz factor that losses and normalisations add to denominators."""
    return _settings["epsilon"]  # type: ignore[return-value]


def set_epsilon(value: float) -> None:
    """Set the fuzz factor."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Return the default layout of images, `"channels_last"` unless it was set."""
    return _settings["image_data_format"]  # type: ignore[return-value]


def set_image_data_format(data_format: str) -> None:
    """Set the default layout: `"channels_last"` or `"channels_first"`."""
    _settings["image_data_format"] = _one_of("set_image_data_format", data_format, _LAYOUTS)


def standardize_data_format(data_format: str | None) -> str:
    """Return `data_format`, or the default layout when it is None."""
    if data_format is None:
        return image_data_format()
    return _one_of("data_format", data_format.lower(), _LAYOUTS)


def _one_of(who: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{who}: expected one of {allowed}, got {value!r}.")
    return value
