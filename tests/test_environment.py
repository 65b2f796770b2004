"""What importing mmum says about its surroundings."""
import importlib.util
import sys
import types

import pytest

from mmum.environment import REQUIRED, check_environment


def test_it_is_in_order_here():
    check_environment()


@pytest.mark.parametrize('name', REQUIRED)
def test_what_is_missing_is_named(name, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda n, *a: None if n == name else real(n, *a))
    with pytest.raises(ImportError, match=f'^mmum needs {name}, which is not installed: pip install '):
        check_environment()


@pytest.mark.parametrize('version', ['0.9.1', '9.0'])
@pytest.mark.parametrize('name', ['mmengine', 'mmpretrain'])
def test_a_version_that_does_not_work_is_named(name, version, monkeypatch):
    monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(__version__=version, __spec__=sys.modules[name].__spec__))
    with pytest.raises(ImportError, match=f'^mmum needs {name} >= .*, < .*, and found {version}: pip install '):
        check_environment()


def test_mmcv_without_operators_is_named(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda n, *a: None if n == 'mmcv._ext' else real(n, *a))
    with pytest.raises(ImportError, match='compiled operators'):
        check_environment()


def test_a_package_that_does_not_import_is_named(monkeypatch):
    real = importlib.import_module

    def broken(name, *args):
        if name == 'mmdet':
            raise RuntimeError('half installed')
        return real(name, *args)

    monkeypatch.setattr(importlib, 'import_module', broken)
    with pytest.raises(ImportError, match=r'mmdet, and the one installed does not import \(half installed\)'):
        check_environment()


def test_torchvision_has_nms():
    """Its own where it loads, mmcv's where not; mmpretrain's image transforms work either way."""
    import torch
    boxes, scores = torch.tensor([[0., 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]]), torch.tensor([.5, .9, .1])
    assert torch.ops.torchvision.nms(boxes, scores, 0.5).tolist() == [1, 2]
