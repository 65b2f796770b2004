"""A training that was interrupted ends as one that was not: to the bit."""

import signal
import subprocess
import sys

import pytest
import torch

from mmum.engine.reliability.preemption import EXIT_PREEMPTED
from tests.helpers import (
    BY_EPOCH,
    BY_ITERATION,
    ROOT,
    call_tool,
    curve,
    free_port,
    run_tool,
    write_config,
)

pytestmark = pytest.mark.slow


def fault(at, kind, rank=0):
    return f"dict(type='FaultHook', at={at}, fault='{kind}', rank={rank})"


def assert_same(one, other):
    """Two runs have equal curves, and equal last checkpoints."""
    assert curve(one) == curve(other) and list(curve(one)) == list(range(1, 13))
    a, b = (
        torch.load((w / 'last_checkpoint').read_text(), weights_only=False) for w in (one, other)
    )
    assert a['meta']['iter'] == b['meta']['iter'] == 12
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_equal(a[key], b[key])


def assert_equal(a, b):
    if isinstance(a, dict):
        assert list(a) == list(b)
        a, b = list(a.values()), list(b.values())
    if isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            assert_equal(one, other)
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def train(config, work_dir, *arguments):
    code, output = call_tool('tools/train.py', config, '--work-dir', work_dir, *arguments)
    assert code == 0, output[-3000:]
    return output


def train_process(config, work_dir, *arguments):
    return run_tool(
        'tools/train.py',
        config,
        '--work-dir',
        work_dir,
        *arguments,
        check=False,
        PYTHONPATH=str(ROOT),
    )


@pytest.fixture(scope='module', params=[BY_EPOCH, BY_ITERATION], ids=['epochs', 'iterations'])
def undisturbed(request, mini, tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # as run_tool does
    folder = tmp_path_factory.mktemp('undisturbed')
    train(write_config(folder, mini, request.param), folder / 'run')
    yield folder / 'run', request.param
    torch.set_num_threads(threads)


def test_killed_with_two_workers_and_resumed_with_none(undisturbed, mini, tmp_path):
    work_dir, loop = undisturbed
    killed = train_process(
        write_config(tmp_path, mini, loop, 2, fault(7, 'SIGKILL')), tmp_path / 'run'
    )
    assert killed.returncode == -signal.SIGKILL
    config = write_config(tmp_path, mini, loop, 0)
    output = train(config, tmp_path / 'run', '--resume')
    assert 'resumed epoch' in output
    assert 'other settings' not in output and 'is left' not in output and 'differ' not in output
    assert_same(work_dir, tmp_path / 'run')
    # Once more, with another batch: nothing is done in silence.
    output = train(config, tmp_path / 'run', '--resume', 'train_dataloader.batch_size=2')
    assert f'nothing is left to train: the run in {tmp_path}/run was complete' in output
    assert 'other settings than it had: train_dataloader.batch_size 4 -> 2' in output


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
def test_a_signal_ends_the_step_with_a_checkpoint(undisturbed, name, mini, tmp_path):
    work_dir, loop = undisturbed
    told = train_process(write_config(tmp_path, mini, loop, 1, fault(6, name)), tmp_path / 'run')
    assert told.returncode == EXIT_PREEMPTED, told.stderr[-2000:]
    assert (
        f'{name}: stopped after iteration 6, with the checkpoint {tmp_path}/run/iter_6.pth'
        in told.stdout + told.stderr
    )
    train(write_config(tmp_path, mini, loop), tmp_path / 'run', '--resume')
    assert_same(work_dir, tmp_path / 'run')
    # the rest only, in the middle of an epoch too
    assert len((tmp_path / 'loaded.txt').read_text().splitlines()) == 6 * 4
    assert not (tmp_path / 'run' / 'iter_6.pth').exists()  # it has served


@pytest.mark.distributed
def test_two_ranks(mini, tmp_path):
    """One of them gets the signal: both stop at the same step, and go on from there."""

    def train_ranks(name, *arguments, hooks=''):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        config = write_config(folder, mini, BY_EPOCH, 1, hooks)
        config.write_text(config.read_text().replace('batch_size=4', 'batch_size=2'))
        return run_tool(
            'tools/dist_train.sh',
            config,
            2,
            '--work-dir',
            folder / 'run',
            *arguments,
            check=False,
            PYTHONPATH=str(ROOT),
            OMP_NUM_THREADS='1',
            PORT=free_port(),
        )

    assert train_ranks('undisturbed').returncode == 0
    told = train_ranks(
        'told', hooks=fault(6, 'SIGTERM', rank=1) + ", dict(type='SlowDiskHook', seconds=2)"
    )
    assert told.returncode != 0 and f'exitcode  : {EXIT_PREEMPTED}' in told.stdout + told.stderr
    assert (tmp_path / 'told' / 'run' / 'iter_6.pth').exists()
    assert train_ranks('told', '--resume').returncode == 0
    assert_same(tmp_path / 'undisturbed' / 'run', tmp_path / 'told' / 'run')


@pytest.mark.distributed
def test_a_dead_rank_ends_the_others_with_its_traceback(mini, tmp_path):
    config = write_config(tmp_path, mini, BY_EPOCH, 1, fault(2, 'raise', rank=1))
    dead = run_tool(
        'tools/dist_train.sh',
        config,
        2,
        '--work-dir',
        tmp_path / 'run',
        check=False,
        timeout=90,
        PYTHONPATH=str(ROOT),
        OMP_NUM_THREADS='1',
        PORT=free_port(),
    )
    assert dead.returncode != 0
    cause = dead.stderr[dead.stderr.index('Root Cause') :]
    assert 'RuntimeError: this rank has a fault' in cause and 'rank      : 1' in cause


def test_a_second_signal_ends_at_once():
    code = (
        'import os, signal, time; from unittest.mock import Mock; from '
        'mmum.engine.reliability.preemption import PreemptionHook; '
        'hook = PreemptionHook(); hook.before_train(Mock()); '
        'os.kill(os.getpid(), signal.SIGTERM); print(hook.received, flush=True); '
        'os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == 'SIGTERM\n' and done.returncode == -signal.SIGTERM
