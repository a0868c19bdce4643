"""The benchmark is a folder of scripts, no package: its tests find its modules on the path."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "benchmarks" / folder) for folder in (".", "peers")]
