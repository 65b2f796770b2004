"""Measurements of mmum, which tools/benchmark.py, demo.py, study.py and soak.py run.

They belong to the repository, whose configs they measure, and are no part of the package.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
