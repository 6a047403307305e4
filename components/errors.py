"""Exceptions of Twofold: one tree, of which every message is written for its user.

    TwofoldError
        SettingsError (ValueError)                  an argument or a setting that cannot be used
            ConfigError                             a recipe, a configuration file, or --set
            UnfitSettingsError (DataError)          settings that the images do not allow
        DataError (ValueError)                      images, archives, fields, prepared data sets
            DamagedArchiveError                     an archive that cannot be read to its end
            UselessWorkError                        a preparation from which nothing can go on
        EngineError (RuntimeError)                  an engine of Beam that ended before its work
        EvaluationError (ValueError)                embeddings or labels that cannot be measured
        UsageError                                  a command that cannot be followed as given
            OtherCodeError                          a result of other code: reuse or update it?
            OtherConfigurationError (RunDirectoryError)  a directory of another configuration's run
        CheckpointError (ValueError)                a checkpoint directory
        AlarmError (RuntimeError)                   a training that an alarm stopped
            TrainingDivergedError (ArithmeticError) a loss or weight that is no longer finite
        RunDirectoryError (ValueError)              a run's directory, or its record
            DirectoryInUseError                     a directory that another process works in
        StudyError (RuntimeError)                   a study of which some runs failed
        StepError (RuntimeError)                    a step whose earlier steps are not finished
        RehearsalError (RuntimeError)               a step that fails when a run is tried out
            EndedApartError                         a trial whose process ended without an answer
            UntriedError                            a run that could not be tried out
        ExportError (ValueError)                    an encoder that cannot be exported as asked
        ExportedModelError (ValueError)             an exported model that is missing or damaged
        ProofError (RuntimeError)                   an exported model that answers otherwise
        ConversionError (RuntimeError)              a model that cannot be converted
        ServingRootError (ValueError)               a directory of served versions
        ModelDirectoryError (ValueError)            a model directory that cannot be served
        PortInUseError (OSError)                    an address that another program listens at
        ServingError                                twofold.serving.status_codes: a request refused
        ClientError                                 twofold.serving.client: a request unanswered

In parentheses is another exception that a class also is, mostly a built-in one. A message says what
happened, what was expected and what was received, with the file, key or field at fault and what to
type instead.

The command line ends with status 2 for a ``UsageError`` or a ``SettingsError``, with 4 for an
``AlarmError``, with 1 for others.
It shows a ``TwofoldError`` as its message, and an ``OSError`` (a full disk, a file
that may not be read) as the machine's; any other exception is a fault of the program. This module
imports nothing, so that ``serving`` may import it wherever it runs.
"""

from __future__ import annotations


class TwofoldError(Exception):
    """Root of all exceptions that Twofold raises on purpose."""


class SettingsError(TwofoldError, ValueError):
    """A setting or an argument that cannot be used: unknown, out of range, or without effect."""


class ConfigError(SettingsError):
    """A configuration that cannot be used; the message names the key."""


class DataError(TwofoldError, ValueError):
    """Input data that cannot be used: a path, an archive, a field, a setting, a stored data set."""


class DamagedArchiveError(DataError):
    """An archive or a compressed file that is none, or is damaged."""


class UnfitSettingsError(SettingsError, DataError):
    """Settings that the images at hand do not allow; the message names the key and the images."""


class EngineError(TwofoldError, RuntimeError):
    """An engine of Beam that cannot be reached, or that came to its end before its work did."""


class EvaluationError(TwofoldError, ValueError):
    """Embeddings, labels or metrics that cannot be measured or compared."""


class UsageError(TwofoldError):
    """A command that cannot be followed as it was given; the command line's exit status 2."""


class OtherCodeError(UsageError):
    """A result that other code made: only the user can say whether to reuse it or to update it."""


class CheckpointError(TwofoldError, ValueError):
    """A checkpoint directory that does not hold what was expected."""


class AlarmError(TwofoldError, RuntimeError):
    """A training that an alarm stopped; the command line's exit status 4."""


class TrainingDivergedError(AlarmError, ArithmeticError):
    """The loss, or a weight, is no longer a finite number.

    Args:
        message: naming it.
        step: updates made before the first such loss and the one that had it; None where it is a
            weight of the last step.

    """

    def __init__(self, message: str, step: int | None = None) -> None:
        super().__init__(message)
        self.step = step


class RunDirectoryError(TwofoldError, ValueError):
    """A run directory that cannot be used as asked."""


class OtherConfigurationError(UsageError, RunDirectoryError):
    """A run directory that holds another configuration's work, which only --update may replace."""


class DirectoryInUseError(RunDirectoryError):
    """A run directory that another process works in, or worked in meanwhile."""


class StudyError(TwofoldError, RuntimeError):
    """A study of which some runs failed; the message names them."""


class StepError(TwofoldError, RuntimeError):
    """A step that cannot run as asked: one before it is not finished."""


class RehearsalError(TwofoldError, RuntimeError):
    """A step that fails when it is tried out on one batch, before the run itself."""


class EndedApartError(RehearsalError):
    """A trial whose process ended without an answer, as one that lacks memory does."""


class UntriedError(RehearsalError):
    """A run that no process could be given to try out, which says nothing about its steps."""


class ExportError(TwofoldError, ValueError):
    """A model that cannot be exported as asked."""


class ExportedModelError(TwofoldError, ValueError):
    """An exported model that is missing, damaged or not what was expected."""


class ProofError(TwofoldError, RuntimeError):
    """An exported model that does not load, or does not answer as its encoder did."""


class ConversionError(TwofoldError, RuntimeError):
    """A model that cannot be converted, or does not answer as it did once it is."""


class ServingRootError(TwofoldError, ValueError):
    """A directory of served versions that cannot be used as asked."""


class ModelDirectoryError(TwofoldError, ValueError):
    """The directory is no model: the message says what was expected and what was found."""


class PortInUseError(TwofoldError, OSError):
    """Another program already listens at the host and port that the message names."""
