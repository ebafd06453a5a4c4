"""Statistics of a comparison: spread over seeds, paired tests, and what may be compared."""

from diffkg_recbole.statistics.measure import Measure
from diffkg_recbole.statistics.paired import (
    PairedTest,
    bootstrap_interval,
    holm,
    paired_test,
    user_means,
)
from diffkg_recbole.statistics.same_data import (
    FULL_RANKING,
    IncomparableError,
    check_comparable,
    evaluation_of,
)

__all__ = [
    "FULL_RANKING",
    "IncomparableError",
    "Measure",
    "PairedTest",
    "bootstrap_interval",
    "check_comparable",
    "evaluation_of",
    "holm",
    "paired_test",
    "user_means",
]
