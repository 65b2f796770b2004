"""tools/soak.py: two minutes of it, and that it would notice."""

import json
from types import SimpleNamespace

import pytest
from benchmarks.soak import Soak

from tests.helpers import run_tool

pytestmark = pytest.mark.slow


def test_two_minutes(tmp_path):
    result = run_tool('tools/soak.py', '--minutes', 2, '--work-dir', tmp_path / 'soak', check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    found = json.loads((tmp_path / 'soak' / 'result.json').read_text())
    assert (
        found['equal']
        and found['steps_compared'] > 10
        and sum(found['faults'].values()) >= 2
        and found['starts'] >= 1
    )


def test_a_difference_is_noticed():
    soak = SimpleNamespace(seconds=60, faults={})
    peace = {1: [0.5], 2: [0.4], 3: [0.3]}

    def equal(faulty):
        return Soak.compare(soak, peace, faulty, 1)['equal']

    assert equal({1: [0.5], 2: [0.4, 0.4]})
    assert not equal({1: [0.5], 2: [0.4, 0.41]})  # a step that was made again
    assert not equal({1: [0.5], 3: [0.31]})
    assert not equal({})
