"""What several tests need."""
import contextlib
import io
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from mmengine.visualization import Visualizer
from mmpretrain.structures import DataSample

import mmum  # noqa: F401  (registers)
from mmum.datasets.mini import write_mini
from mmum.masking import REMOVED, SECONDARY, VISIBLE, sample_mask_map

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / 'shared'
SMALL_ARCH = dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))


def golden(name):
    """The authors' numbers, or a skip where the files are absent."""
    from safetensors.torch import load_file
    path = SHARED / 'golden' / f'{name}.safetensors'
    if not path.exists():
        pytest.skip(f'reference numbers are absent: {path.name}')
    return load_file(path)


def golden_mask(numbers):
    """The mask map of a golden file, square."""
    mask = torch.full(numbers['mask'].shape, VISIBLE, dtype=torch.uint8)
    mask[numbers['secondary']] = SECONDARY
    mask[numbers['mask']] = REMOVED
    side = int(mask.shape[1]**0.5)
    return mask.view(-1, side, side)


def mask_maps(n, grid, secondary_ratio=0.25):
    """Mask maps of a batch."""
    return torch.stack([torch.from_numpy(sample_mask_map(grid, secondary_ratio)) for _ in range(n)])


def data_samples(mask):
    """Data samples that hold these mask maps."""
    return [DataSample().set_mask(one) for one in mask]


def free_port():
    """A port for the ranks of a test."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return str(server.getsockname()[1])


def run_tool(*args, cwd=ROOT, check=True, timeout=None, **env):
    """Runs a tool as a user does; returns the finished process with stdout and stderr as text."""
    program = 'bash' if str(args[0]).endswith('.sh') else sys.executable
    result = subprocess.run([program, *map(str, args)], cwd=cwd, text=True, capture_output=True, timeout=timeout,
                            env={**os.environ, 'OMP_NUM_THREADS': '2', 'PYTHON': sys.executable, **env})
    if check:
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


def call_tool(*args):
    """Runs a tool in this process, which is spared the imports: exit code and all output."""
    for kind in (MMLogger, MessageHub, DefaultScope, Visualizer, *Visualizer.__subclasses__(),
                 *(two for one in Visualizer.__subclasses__() for two in one.__subclasses__())):  # each run has its own
        kind._instance_dict.clear()
    read = dict(CheckpointLoader._schemes)
    output = io.StringIO()
    argv, sys.argv = sys.argv, [str(arg) for arg in args]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            runpy.run_path(str(ROOT / sys.argv[0]), run_name='__main__')
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
        CheckpointLoader._schemes = read
        MMLogger._instance_dict.clear()  # its handlers end here
    return code, output.getvalue()


def output_of(*args):
    """The output of a tool that does its work, in this process."""
    code, output = call_tool(*args)
    assert code == 0, output[-3000:]
    return output


@pytest.fixture(scope='session')
def mini(tmp_path_factory):
    """A tiny mini data set."""
    out = tmp_path_factory.mktemp('data') / 'mini'
    write_mini(out, unlabelled=16, train=8, val=4)
    return out


@pytest.fixture(autouse=True)
def _alone():
    """No test depends on the one before: neither its randomness nor its scope."""
    import numpy as np
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    DefaultScope._instance_dict.clear()
