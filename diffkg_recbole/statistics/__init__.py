"""Statistics of a comparison: spread over seeds, paired tests, and what may be compared."""

from diffkg_recbole.statistics.paired import (
    PairedTest,
    Spread,
    bootstrap_interval,
    compare,
    holm,
    over_seeds,
    paired_test,
    user_means,
)
from diffkg_recbole.statistics.same_data import (
    IncomparableError,
    check_comparable,
    data_key,
    describe_difference,
)

__all__ = [
    "IncomparableError",
    "PairedTest",
    "Spread",
    "bootstrap_interval",
    "check_comparable",
    "compare",
    "data_key",
    "describe_difference",
    "holm",
    "over_seeds",
    "paired_test",
    "user_means",
]
