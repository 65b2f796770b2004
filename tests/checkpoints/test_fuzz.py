"""Checkpoints that are damaged at random: read, or one sentence, and nothing of them is run."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.errors import InputError
from tests.damage import DAMAGE, damaged


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('checkpoints')
    weights = {f'layer{i}.weight': torch.randn(4, 3) for i in range(3)}
    meta = dict(epoch=3, seed=np.float64(0.5))
    torch.save(dict(state_dict=weights, meta=meta), folder / 'whole.pth')
    torch.save(
        dict(state_dict=weights, meta=meta),
        folder / 'old.pth',
        _use_new_zipfile_serialization=False,
    )
    save_file(weights, folder / 'whole.safetensors')
    return folder


@pytest.mark.parametrize('name', ['whole.pth', 'old.pth', 'whole.safetensors'])
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(damage=DAMAGE)
def test_damaged_checkpoints(name, folder, damage):
    path = folder / f'damaged_{name}'
    path.write_bytes(damaged((folder / name).read_bytes(), damage))
    try:
        weights = weights_of(read_checkpoint(path), path)
    except InputError as error:
        assert str(path) in str(error) and '\n' not in str(error)
        return
    assert all(isinstance(value, torch.Tensor) for value in weights.values())


@settings(max_examples=80, deadline=None, derandomize=True)
@given(content=st.binary(max_size=200))
def test_what_is_no_checkpoint(tmp_path_factory, content):
    for suffix in ('pth', 'safetensors'):
        path = tmp_path_factory.getbasetemp() / f'noise.{suffix}'
        path.write_bytes(content)
        with pytest.raises(InputError):
            weights_of(read_checkpoint(path), path)
