"""What goes wrong, by kind. Every message names the operation, the argument, both values and the remedy."""


class AutogradError(Exception):
    """Base of all errors that the library raises itself."""


class ShapeError(AutogradError, ValueError):
    """Shapes do not fit the operation's contract."""


class DTypeError(AutogradError, TypeError):
    """An element type, or a type of argument, that the operation does not take."""


class DeviceError(AutogradError, ValueError):
    """Arrays of different devices in one operation, or a device that is not there."""


class GraphError(AutogradError, RuntimeError):
    """A graph that is missing, freed, or whose saved arrays were overwritten."""


class DomainError(AutogradError, ValueError):
    """A parameter or value outside the set for which the operation is defined."""


class AnomalyError(AutogradError, FloatingPointError):
    """The first NaN or Inf, found in anomaly mode."""


class DataError(AutogradError, ValueError):
    """A file that is truncated, corrupted, or of another format."""


class IndexingError(AutogradError, IndexError):
    """An index outside the array."""
