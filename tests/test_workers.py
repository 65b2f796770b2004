"""Processes that work for another one end with it."""

import signal
import subprocess
import sys

import psutil
import pytest

from mmum.cli.check_data import parse_args
from mmum.workers import usable_cores
from tests.helpers import ROOT

pytestmark = pytest.mark.slow

LOADER = """
import time
from torch.utils.data import DataLoader
from mmum.workers import shield_workers

loader = DataLoader([b'x' * 2**20] * 9, num_workers=2, collate_fn=list)  # more than a pipe holds
shield_workers(loader)
batches = iter(loader)
next(batches)
time.sleep(1)
print(*(worker.pid for worker in batches._workers), flush=True)
time.sleep(60)
"""
POOL = """
import time
from concurrent.futures import ProcessPoolExecutor
from mmum.workers import end_with_parent

pool = ProcessPoolExecutor(2, initializer=end_with_parent)
list(pool.map(time.sleep, [0.2] * 4))
print(*pool._processes, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize('name', ['SIGKILL', 'SIGTERM'])
@pytest.mark.parametrize('code', [LOADER, POOL], ids=['loader', 'pool'])
def test_workers_do_not_outlive_a_process_that_was_killed(code, name):
    command = [sys.executable, '-c', code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        assert len(workers) == 2 and all(worker.is_running() for worker in workers)
        process.send_signal(getattr(signal, name))
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]


def test_cores_that_a_scheduler_gives(monkeypatch):
    monkeypatch.setattr('os.sched_getaffinity', lambda process: {0, 5, 7}, raising=False)
    monkeypatch.setattr('sys.argv', ['check-data', 'FOLDER'])
    assert usable_cores() == 3 == parse_args().workers
