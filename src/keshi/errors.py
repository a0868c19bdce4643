"""The errors keshi raises on purpose. Each also derives from the builtin a caller would guess."""


class KeshiError(Exception):
    """Any error that keshi raises on purpose."""


class DomainError(KeshiError, ValueError):
    """A table, a recording or a domain file contradicts what was declared to be public knowledge."""


class RecordsError(KeshiError, ValueError):
    """A file or an array of records cannot be read as what it should be."""


class BudgetError(KeshiError, ValueError):
    """A release would spend more privacy than the ledger has left, or the ledger cannot be trusted."""


class NotFittedError(KeshiError, AttributeError):
    """Something that only a fitted object has was asked of one that is not fitted yet."""


class ArtifactError(KeshiError, ValueError):
    """A saved artefact is incomplete, altered, of another kind or version, or unsafe to open."""


class ConditionError(KeshiError, ValueError):
    """A condition on records cannot be read, contradicts the domain or itself, or is met too rarely to sample by."""
