"""What evaluation refuses, in one exception."""


class EvaluationError(ValueError):
    """An input that cannot be measured: the message says what was expected and what came."""
