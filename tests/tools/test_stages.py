"""Stages of a larger work end with it."""

import os
import signal
import subprocess
import sys

import psutil

from tests.helpers import ROOT

# two stages at a time, which say who they are and would last a minute
STUDY = """
import sys
from benchmarks import runs

stage = "import os, time; print('Iter(train)', os.getpid()); time.sleep(60)"


def run_stage(name, log, *command, report, **env):
    return made(name, log, '-c', stage, report=lambda line: print(line, flush=True))


made, runs.run_stage = runs.run_stage, run_stage
config = 'detection/mask-rcnn_um-swin-nano_fpn_mini.py'
runs.Runs(sys.argv[1], 2, print).make([runs.Run(name, name, config) for name in ('a', 'b')])
"""


def test_sigterm_ends_the_stages_that_run(tmp_path):
    command = [sys.executable, '-c', STUDY, tmp_path]
    paths = f'{ROOT}:{ROOT / "tools"}'
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONPATH': paths}
    ) as process:
        assert [process.stdout.readline() for _ in range(2)]
        stages = psutil.Process(process.pid).children()
        assert len(stages) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert not psutil.wait_procs(stages, timeout=1)[1]
