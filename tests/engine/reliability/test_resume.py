"""The checkpoint that a run resumes from, and who may use a work directory."""

import os
import subprocess
import sys

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmum.checkpoints import read_checkpoint
from mmum.engine.reliability.resume import WorkDirLock, find_latest_checkpoint, register_safe_loader
from mmum.errors import InputError
from tests.helpers import ROOT, Evil


@pytest.fixture
def work_dir(tmp_path):
    for step in (1, 2, 3):
        path = tmp_path / f'epoch_{step}.pth'
        torch.save(dict(state_dict=dict(x=torch.randn(1000)), meta=dict(epoch=step)), path)
        os.utime(path, (step, step))
    torch.save(dict(state_dict=dict(x=torch.zeros(1))), tmp_path / 'best_coco_segm_mAP_epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    return tmp_path


def test_the_last_one(work_dir):
    assert find_latest_checkpoint(work_dir) == str(work_dir / 'epoch_3.pth')
    (work_dir / 'last_checkpoint').unlink()
    assert find_latest_checkpoint(work_dir) == str(work_dir / 'epoch_3.pth')
    (work_dir / 'last_checkpoint').write_text('/elsewhere/epoch_3.pth')  # the directory was moved
    assert find_latest_checkpoint(work_dir) == str(work_dir / 'epoch_3.pth')


@pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.9, 0.999])
def test_a_torn_one_is_skipped_and_named(work_dir, share, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmum.engine.reliability.resume.print_log', lambda text, logger: said.append(text)
    )
    path = work_dir / 'epoch_3.pth'
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert find_latest_checkpoint(work_dir) == str(work_dir / 'epoch_2.pth')
    assert len(said) == 1 and 'epoch_3.pth, which is damaged' in said[0]


def test_one_wrong_byte_is_noticed(work_dir):
    path = work_dir / 'epoch_3.pth'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1  # among the numbers
    path.write_bytes(data)
    assert find_latest_checkpoint(work_dir) == str(work_dir / 'epoch_2.pth')


def test_none_and_none_that_is_whole(work_dir, tmp_path_factory):
    assert find_latest_checkpoint(tmp_path_factory.mktemp('fresh')) is None
    for step in (1, 2, 3):
        (work_dir / f'epoch_{step}.pth').write_bytes(b'PK')
    with pytest.raises(InputError, match='all 3 checkpoints .* are damaged'):
        find_latest_checkpoint(work_dir)


def test_mmengine_reads_through_our_reader(tmp_path, monkeypatch):
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    monkeypatch.chdir(tmp_path)
    register_safe_loader()
    torch.save(dict(state_dict=Evil()), 'evil.pth')
    with pytest.raises(InputError, match='evil.pth was refused'):
        CheckpointLoader.load_checkpoint('evil.pth', 'cpu')
    assert not (tmp_path / 'should_not_exist').exists()
    torch.save(dict(state_dict=dict(x=torch.ones(2))), 'good.pth')
    assert torch.equal(
        CheckpointLoader.load_checkpoint('good.pth', 'cpu')['state_dict']['x'], torch.ones(2)
    )


@pytest.mark.slow
def test_a_second_job_is_kept_out(tmp_path):
    code = (
        'import sys; from mmum.engine.reliability.resume import WorkDirLock; lock = '
        'WorkDirLock(sys.argv[1]); '
        'print("held", flush=True); sys.stdin.read()'
    )
    first = subprocess.Popen(
        [sys.executable, '-c', code, str(tmp_path / 'run')],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert first.stdout.readline() == 'held\n'
        with pytest.raises(InputError, match=f'run is in use by process {first.pid} on '):
            WorkDirLock(tmp_path / 'run')
    finally:
        first.kill()  # as a crash: nothing tidies up
        first.wait()
    WorkDirLock(tmp_path / 'run')


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='cannot be written to'):
        WorkDirLock(tmp_path / 'file' / 'run')


def test_a_url_is_read_safely_too(served, tmp_path, monkeypatch):
    """Through mmengine and through pretrained=..., from a server of this machine."""
    folder, url = served
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    torch.save(dict(state_dict=Evil()), folder / 'evil.pth')
    torch.save(dict(state_dict=dict(x=torch.ones(2))), folder / 'good.pth')
    register_safe_loader()
    monkeypatch.chdir(tmp_path)
    for read in (CheckpointLoader.load_checkpoint, read_checkpoint):
        with pytest.raises(InputError, match='evil.pth was refused'):
            read(f'{url}/evil.pth')
        assert torch.equal(read(f'{url}/good.pth')['state_dict']['x'], torch.ones(2))
        with pytest.raises(InputError, match='absent.pth cannot be downloaded'):
            read(f'{url}/absent.pth')
    assert not (tmp_path / 'should_not_exist').exists()
    with pytest.raises(InputError, match='cannot be read safely from s3'):
        CheckpointLoader.load_checkpoint('s3://bucket/x.pth')


def test_a_refused_run_leaves_no_lock(tmp_path, monkeypatch):
    """In a notebook the process stays alive, and another one should be able to train there."""
    from mmum.engine import runner

    def refuse(*_):
        raise InputError('no such folder')

    class Refused(runner.FaultTolerance):
        work_dir, cfg, _resume = str(tmp_path), None, False

    monkeypatch.setattr(runner, 'preflight', refuse)
    with pytest.raises(InputError, match='no such folder') as kept:
        Refused().train()
    assert kept.traceback  # a notebook keeps the last traceback too, and all that it refers to
    code = 'import sys; from mmum.engine.reliability.resume import WorkDirLock as L; L(sys.argv[1])'
    subprocess.run([sys.executable, '-c', code, tmp_path], check=True, cwd=ROOT)
