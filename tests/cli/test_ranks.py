"""How a rank of torchrun ends: with its exit code, its output and its atexit functions."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import atexit, sys
from mmum.cli.command import run_command
from mmum.errors import InputError

class Aborts:
    def __del__(self):  # stands for what Python takes down at its end
        import os
        os.abort()

def main():
    global kept
    kept = Aborts()
    atexit.register(print, 'uploaded')
    print('done')
    {ending}

run_command(main)
"""


@pytest.mark.parametrize(
    'ending, code, error',
    [
        ('', 0, ''),
        ('sys.exit(75)', 75, ''),
        ('sys.exit("a reason")', 1, 'a reason'),
        ('raise InputError("x.py is at fault")', 2, 'error: x.py is at fault'),
    ],
)
def test_a_rank_leaves_at_once_when_its_work_is_done(ending, code, error):
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', PROGRAM.format(ending=ending)],
        capture_output=True,
        text=True,
        env={**os.environ, 'TORCHELASTIC_RUN_ID': 'x', 'OMP_NUM_THREADS': '1'},
    )
    assert result.returncode == code, result.stderr
    assert result.stdout.split() == ['done', 'uploaded'] and error in result.stderr
