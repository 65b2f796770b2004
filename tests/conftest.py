"""Fixtures of all tests."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

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


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder, the address of a server of this machine that shows it, and an empty cache."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    folder = tmp_path / 'served'
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


@pytest.fixture(autouse=True)
def _alone():
    """No test depends on the one before: neither its randomness nor its scope."""
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    DefaultScope._instance_dict.clear()
