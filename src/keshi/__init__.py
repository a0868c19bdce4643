"""keshi releases data, or representations of data, without releasing the people in them.

The public names are imported when they are first used, so that `import keshi` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Categorical": "keshi.records.column_kinds",
    "Censor": "keshi.censoring.censor",
    "Domain": "keshi.records.domain",
    "Generator": "keshi.synthesis.trained_generator",
    "Image": "keshi.records.column_kinds",
    "KeshiError": "keshi.errors",
    "Numerical": "keshi.records.column_kinds",
    "Ordinal": "keshi.records.column_kinds",
    "PearlSynthesizer": "keshi.synthesis.synthesizer",
    "PrivacyLedger": "keshi.privacy.ledger",
    "PrivacyUnit": "keshi.privacy.unit",
    "PrivateEmbedding": "keshi.synthesis.private_embedding",
    "Timestamp": "keshi.records.column_kinds",
    "Window": "keshi.records.column_kinds",
    "audit_release": "keshi.auditing.release_audit",
}
__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:
    from keshi.auditing.release_audit import audit_release as audit_release
    from keshi.censoring.censor import Censor as Censor
    from keshi.errors import KeshiError as KeshiError
    from keshi.privacy.ledger import PrivacyLedger as PrivacyLedger
    from keshi.privacy.unit import PrivacyUnit as PrivacyUnit
    from keshi.records.column_kinds import Categorical as Categorical
    from keshi.records.column_kinds import Image as Image
    from keshi.records.column_kinds import Numerical as Numerical
    from keshi.records.column_kinds import Ordinal as Ordinal
    from keshi.records.column_kinds import Timestamp as Timestamp
    from keshi.records.column_kinds import Window as Window
    from keshi.records.domain import Domain as Domain
    from keshi.synthesis.private_embedding import PrivateEmbedding as PrivateEmbedding
    from keshi.synthesis.synthesizer import PearlSynthesizer as PearlSynthesizer
    from keshi.synthesis.trained_generator import Generator as Generator


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'keshi' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
