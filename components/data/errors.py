"""What this package raises about its input."""


class DataError(ValueError):
    """The input cannot be used: a path, an archive, a field, a setting or a stored dataset.

    The message is written for the person who gave the input: what happened, what was expected and
    what was received, with the file, key or field at fault. It is the only exception that
    leaves this package on purpose; any other is a fault of the program or of the machine.
    """
