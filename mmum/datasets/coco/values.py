"""Numbers as exporters write them."""

import math
from typing import Any


def number_of(value: Any) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) else math.nan
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if isinstance(value, int) else number
