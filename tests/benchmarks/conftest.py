"""The benchmark is a folder of scripts, no package: its tests find its modules on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
