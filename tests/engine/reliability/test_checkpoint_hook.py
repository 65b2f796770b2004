"""Checkpoints are whole or not there."""

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.logging import MessageHub

from mmum.engine.reliability.checkpoint_hook import AtomicCheckpointHook, AtomicFileBackend
from mmum.files import atomic_write

pytestmark = pytest.mark.slow


class Runner:
    """As much of mmengine's runner as a checkpoint hook asks for."""

    def __init__(self, work_dir, hook):
        self.work_dir, self.hook, self.warnings = str(work_dir), hook, []
        self.message_hub = MessageHub.get_instance(f'test_{work_dir.name}')
        self.optim_wrapper = SimpleNamespace(optimizer=None)
        self.logger = SimpleNamespace(info=lambda text: None, warning=self.warnings.append)
        self.epoch = self.iter = 0
        self.state_dict = torch.zeros(1000)

    def save_checkpoint(self, out_dir, filename, file_client_args, backend_args, meta, **kwargs):
        import io

        data = io.BytesIO()
        torch.save(dict(meta=meta, x=self.state_dict), data)
        get_file_backend(out_dir, backend_args=backend_args).put(
            data.getvalue(), os.path.join(out_dir, filename)
        )


@pytest.fixture
def runner(tmp_path):
    hook = AtomicCheckpointHook(interval=1, max_keep_ckpts=2)
    runner = Runner(tmp_path, hook)
    hook.before_train(runner)
    return runner


def save(runner, step):
    runner.hook._save_checkpoint_with_step(runner, step, dict(epoch=step))


def files(runner):
    return sorted(name for name in os.listdir(runner.work_dir) if not name.startswith('vis'))


def test_old_ones_go_after_the_new_one_is_whole(runner, monkeypatch):
    seen = []
    real = os.replace
    monkeypatch.setattr(os, 'replace', lambda a, b: (real(a, b), seen.append(files(runner))))
    for step in (1, 2, 3):
        save(runner, step)
    assert files(runner) == ['epoch_2.pth', 'epoch_3.pth', 'last_checkpoint']
    assert seen[4] == [
        'epoch_1.pth',
        'epoch_2.pth',
        'epoch_3.pth',
        'last_checkpoint',
    ]  # all three for a moment
    assert open(os.path.join(runner.work_dir, 'last_checkpoint')).read().endswith('epoch_3.pth')
    assert runner.message_hub.get_info('keep_ckpt_ids') == [2, 3]


def test_a_full_disk_stops_nothing(runner, monkeypatch):
    save(runner, 1)
    save(runner, 2)

    def full(*args):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patched:
        patched.setattr(os, 'fsync', full)
        save(runner, 3)
    assert files(runner) == ['epoch_1.pth', 'epoch_2.pth', 'last_checkpoint']
    assert 'No space left on device' in runner.warnings[0] and 'epoch_2.pth' in runner.warnings[0]
    assert open(os.path.join(runner.work_dir, 'last_checkpoint')).read().endswith('epoch_2.pth')
    assert runner.message_hub.get_info('keep_ckpt_ids') == [1, 2]
    save(runner, 4)
    assert files(runner) == ['epoch_2.pth', 'epoch_4.pth', 'last_checkpoint']


@pytest.mark.parametrize('moment', ['write', 'fsync', 'replace', 'folder'])
def test_a_kill_at_any_moment_leaves_an_old_or_the_new_file(moment, tmp_path, monkeypatch):
    """As a kill does: nothing more happens after that moment, no tidying up either."""
    path = tmp_path / 'file'
    atomic_write(path, b'old')

    class Killed(BaseException):
        pass

    def kill(*args):
        raise Killed

    calls = []
    real = os.fsync
    monkeypatch.setattr(
        os,
        'fsync',
        lambda f: (
            kill() if moment == ('folder' if calls else 'fsync') else (calls.append(f), real(f))
        ),
    )
    if moment == 'replace':
        monkeypatch.setattr(os, 'replace', kill)
    data = b'new' * 100000
    if moment == 'write':
        monkeypatch.setattr('builtins.open', lambda *a: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        atomic_write(path, data)
    monkeypatch.undo()
    assert path.read_bytes() in (b'old', data)
    atomic_write(path, b'next')  # and what was left over is in nobody's way
    assert path.read_bytes() == b'next' and len(list(tmp_path.iterdir())) == 1


def test_the_backend_is_mmengines_local_one_but_for_writing(tmp_path):
    backend = get_file_backend(str(tmp_path), backend_args=dict(backend='atomic'))
    assert isinstance(backend, AtomicFileBackend)
    backend.put(b'x', str(tmp_path / 'a' / 'b'))
    assert backend.get(str(tmp_path / 'a' / 'b')) == b'x'


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_kills_at_many_bytes_leave_a_good_checkpoint(tmp_path):
    """Processes that are killed after so many bytes of a checkpoint were written: the one before is
    found and whole."""
    import signal

    import torch

    from mmum.engine.reliability.resume import find_latest_checkpoint

    def write(step):
        buffer = io.BytesIO()
        torch.save(dict(state_dict=dict(x=torch.full((500,), float(step)))), buffer)
        atomic_write(tmp_path / f'epoch_{step}.pth', buffer.getvalue())
        atomic_write(tmp_path / 'last_checkpoint', str(tmp_path / f'epoch_{step}.pth').encode())
        return len(buffer.getvalue())

    size = write(1)
    real = Path.write_bytes
    for byte in [*range(0, size, 97), size - 1, size, size + 1, size + 20]:
        child = os.fork()
        if not child:
            left = byte

            def write_some(path, data):
                nonlocal left
                real(path, data[:left])
                left -= len(data)
                if left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            Path.write_bytes = write_some
            write(2)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        good = find_latest_checkpoint(tmp_path)
        value = torch.load(good)['state_dict']['x'][0]
        assert value == float(Path(good).stem[-1]) and (value == 1 or byte >= size)
        (tmp_path / 'epoch_2.pth').unlink(missing_ok=True)
        write(1)
