"""The auditor's own audit is an experiment: tests here find it on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
