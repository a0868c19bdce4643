"""RAND Health Insurance Experiment: doctor visits of 20,190 person-years, out of the statsmodels package.

statsmodels itself is not imported; only the checked csv files of its wheel are read.
"""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from keshi.datasets.verified import file_of_package, verified_bytes

DOMAIN_FILE = Path(__file__).with_name("randhie.toml")  # bounds and categories, all public knowledge
LABEL = "hlthf"  # self-rated health is fair; why: see randhie.toml
SOURCE = 'pip install "keshi[demo]" (statsmodels 0.14 or later)'
SHA256 = "9f6c87d05aef087a82cc4465310c8cd3f38327be6eafa43bd81fb98c4f3d088c"
SHA256_FULL = "fe64f3c8e987779daa6052dd756d9ce277e025330f5549126c7c2f6a3c9c5541"


def load_randhie(*, subject: bool = False) -> pd.DataFrame:
    """The ten columns of Cameron and Trivedi's extract, 20,190 rows; one row is one person in one year.

    mdvis (outpatient visits to a doctor), lncoins (ln of coinsurance percent + 1), idp (individual deductible
    plan), lpi (ln of participation incentive), fmde (ln of maximum expenditure by coinsurance), physlm
    (physical limitation), disea (index of chronic diseases), hlthg, hlthf, hlthp (self-rated health good,
    fair, poor; else excellent).

    Licence: public domain (as statsmodels states). Cite: Newhouse and the Insurance Experiment Group, "Free
    for All? Lessons from the RAND Health Insurance Experiment", Harvard University Press 1993; the extract is
    that of Cameron and Trivedi, "Microeconometrics", Cambridge University Press 2005.

    Args:
        subject: add the column `zper`, the person's number: 5,912 people have one to five years each, so a
            promise for a person needs this column.

    Raises:
        RecordsError: statsmodels is not installed, or its file is not the known one.
    """
    path = file_of_package("statsmodels", "datasets", "randhie", "randhie.csv")
    table = pd.read_csv(io.BytesIO(verified_bytes(path, sha256=SHA256, source=SOURCE)))
    if subject:
        # both files list the same person-years in the same order; their checksums are pinned
        table["zper"] = load_randhie_full()["zper"]
    return table


def load_randhie_full() -> pd.DataFrame:
    """All 45 columns of the original file (plan, site, income, age, spending ...) with the person, `zper`.

    Licence and citation as for `load_randhie`. 20,190 rows; some values are missing.
    """
    path = file_of_package("statsmodels", "datasets", "randhie", "src", "randhie.csv")
    return pd.read_csv(io.BytesIO(verified_bytes(path, sha256=SHA256_FULL, source=SOURCE)))
