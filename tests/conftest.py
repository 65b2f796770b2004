"""Fixtures of all tests."""

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

import mmum  # noqa: F401  (registers)
from mmum.datasets.mini import write_mini


@pytest.fixture(scope='session')
def mini(tmp_path_factory):
    """A tiny mini data set."""
    out = tmp_path_factory.mktemp('data') / 'mini'
    write_mini(out, unlabelled=16, train=8, val=4)
    return out


@pytest.fixture(autouse=True)
def _alone():
    """No test depends on the one before: neither its randomness nor its scope."""
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    DefaultScope._instance_dict.clear()
