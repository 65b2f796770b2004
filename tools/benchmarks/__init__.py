"""What measures mmum: tools/benchmark.py, demo.py, study.py and soak.py run it.

It belongs to the repository, whose configs it measures, and is no part of the package.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
