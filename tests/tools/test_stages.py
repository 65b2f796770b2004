"""Stages of a larger work end with it, and one that fails does not end the others."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from benchmarks import runs

from mmum.errors import InputError
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


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Make runs of which some fail: the names of those that were begun, and the lines of progress.

    b starts from a, and c from b.
    """

    def make(failing, names='abcde'):
        begun, lines, a = [], [], runs.Run('a', 'a', 'selfsup/um_mae_swin_nano_nuclei.py')
        b = replace(a, folder='b', title='b', start=a)
        every = dict(a=a, b=b, c=replace(b, folder='c', title='c', start=b))
        every |= {name: replace(a, folder=name, title=name) for name in 'de'}

        def run_stage(name, *command, **env):
            begun.append(name)
            if name in failing:
                raise InputError(f'{name} stopped')
            return 1.0, ''

        monkeypatch.setattr(runs, 'run_stage', run_stage)
        monkeypatch.setattr(runs, 'end_stages', lambda: lines.append('the others are ended'))
        monkeypatch.setattr(runs, 'read_log', lambda run, folder: dict(ap={}))
        monkeypatch.setattr(runs, 'weights_of', lambda folder, run: run.folder)
        study = runs.Runs(tmp_path, 1, lines.append)
        try:
            study.make([every[name] for name in names])
        except InputError as error:
            lines.append(str(error))
        return begun, lines

    return make


def test_a_run_that_fails_takes_along_what_starts_from_it_alone(study):
    begun, lines = study({'b', 'd'})
    assert begun == ['a', 'b', 'd', 'e']
    assert lines[1] == 'b stopped. The other runs go on' and 'the others are ended' not in lines
    assert lines[-1].startswith('2 of 5 runs failed, as said above: b, d. ')
    begun, lines = study({'c'})  # what is finished is kept
    assert begun == ['b', 'c', 'd'] and lines[-1] == 'c stopped'
    assert study({})[0] == ['c'] and study({})[0] == []


def test_what_is_wrong_with_all_runs_is_not_tried_with_all(study):
    begun, lines = study({*'abcde'})
    assert begun == ['a'] and lines == ['the others are ended', 'a stopped']
    assert study({}, 'a')[0] == ['a']
    begun, lines = study({*'bcde'})  # one may be the only one
    assert begun == ['b', 'd'] and lines[-1] == 'd stopped'


def test_a_run_with_other_settings_is_named_before_any_is_made(study, tmp_path):
    assert study({})[0] == [*'abcde']
    for name in 'ae':
        (tmp_path / name / 'result.json').unlink()
    (tmp_path / 'd' / 'result.json').write_text('{"command": ["other"]}')
    begun, lines = study({})
    assert not begun and f'{tmp_path}/d holds a run with other settings' in lines[-1]
