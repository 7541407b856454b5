"""Name the ways in which files, configurations and traced programs can be wrong."""


class CorruptFileError(OSError, ValueError):
    """A file is damaged, truncated or not what its name says."""


class ConfigError(ValueError):
    """A saved configuration does not describe something that can be built."""


class UnsupportedFormatError(ValueError):
    """A file is whole, but of a kind or version that is not read."""


class ResourceLimitError(ValueError):
    """A shape or a file asks for more memory than any machine has."""


class NotAllowedInTraceError(TypeError):
    """A number was asked for where there is only a tensor that stands for one."""
