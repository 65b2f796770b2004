"""What importing mmum says about its surroundings."""

import importlib.util
import os
import re
import subprocess
import sys
import types
from unittest import mock

import pytest

from mmum.environment import (
    FOR_DETECTION,
    REQUIRED,
    check_environment,
    gpu_out_of_reach,
    how_to_compile,
    why_no_detection,
    why_no_segmentation,
)
from tests.helpers import ROOT


def test_it_is_in_order_here():
    check_environment()


def test_importing_says_nothing():
    """Upstream warns of optional packages that nobody asked for."""
    result = subprocess.run(
        [sys.executable, '-c', 'import mmum'], capture_output=True, text=True, cwd=ROOT
    )
    said = (result.stdout + result.stderr).splitlines()
    # on a slow machine the first import ever says that it takes a moment
    said = [line for line in said if 'Matplotlib is building the font cache' not in line]
    assert result.returncode == 0 and not said, said


@pytest.mark.parametrize('name', [name for name in REQUIRED if name not in FOR_DETECTION])
def test_what_is_missing_is_named(name, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda n, *a: None if n == name else real(n, *a)
    )
    with pytest.raises(
        ImportError, match=f'^mmum needs {name}, which is not installed: pip install '
    ):
        check_environment()


@pytest.mark.parametrize('version', ['0.9.1', '9.0'])
@pytest.mark.parametrize('name', ['mmengine', 'mmpretrain'])
def test_a_version_that_does_not_work_is_named(name, version, monkeypatch):
    monkeypatch.setitem(
        sys.modules,
        name,
        types.SimpleNamespace(__version__=version, __spec__=sys.modules[name].__spec__),
    )
    with pytest.raises(
        ImportError, match=f'^mmum needs {name} >= .*, < .*, and found {version}: pip install '
    ):
        check_environment()


ABSENT = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == 'mmcv._ext' else real(name, *a)
sys.modules['mmcv._ext'] = None  # an import of it fails
"""
BROKEN = """
import importlib.machinery, sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == 'mmcv._ext' else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        raise ImportError('_ext.so: undefined symbol: _ZN3c10')
sys.meta_path.insert(0, Broken())
"""
WITHOUT_OPERATORS = """
import torch
import mmum
from mmum.engine import load_config
from mmum.engine.runner import build_runner
print(mmum.models.UMSwin()(torch.zeros(1, 3, 64, 64))[0].shape)
print(hasattr(mmum.models, 'MaskTTAModel'))
from mmseg.registry import MODELS
print(type(MODELS.build(load_config('upernet_um-swin-nano_mini').model)).__name__)
from mmengine.model import revert_sync_batchnorm
revert_sync_batchnorm(torch.nn.Linear(1, 1))  # as every runner on a CPU does
build_runner(load_config('configs/detection/mask-rcnn_um-swin-nano_fpn_mini.py'))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    'how, fault',
    [
        (ABSENT, 'this mmcv has none'),
        (BROKEN, 'do not load (_ext.so: undefined symbol: _ZN3c10)'),
    ],
)
def test_pretraining_does_without_the_operators_of_mmcv(how, fault):
    """Everything imports, segmentation is built too; a detector is refused with the command that
    builds them."""
    result = subprocess.run(
        [sys.executable, '-c', how + WITHOUT_OPERATORS], capture_output=True, text=True, cwd=ROOT
    )
    assert 'torch.Size([1, 768, 2, 2])\nFalse' in result.stdout, result.stderr[-2000:]
    assert 'EncoderDecoder' in result.stdout, result.stderr[-2000:]
    last = result.stderr.strip().splitlines()[-1]
    assert 'detectors need the compiled operators of mmcv' in last and '--no-cache-dir' in last
    assert fault in last


@pytest.mark.parametrize(
    'torch, first', [('2.13.0+cpu', 'pip install --no-cache-dir'), ('2.14.1', 'onedl-mmcv 2.3.6')]
)
def test_a_torch_that_mmcv_does_not_compile_with(torch, first, monkeypatch):
    monkeypatch.setattr('importlib.metadata.version', lambda name: {'torch': torch}[name])
    said = how_to_compile()
    assert said.startswith(first) and said.endswith('onedl-mmcv')
    assert ("pip install 'torch<2.14' torchvision" in said) == (torch == '2.14.1')


@pytest.mark.parametrize(
    'gpus, visible, cuda, sentence',
    [
        ([], 'all', '13.0', None),
        (['/dev/nvidia0'], '-1', '13.0', None),
        (['/dev/nvidia0'], '', '13.0', None),
        (['/dev/nvidia0'], '0', None, 'has no CUDA: install'),
        (['/dev/nvidia0'], '0', '13.0', 'the driver must be as new as CUDA 13.0'),
    ],
)
def test_a_gpu_that_torch_does_not_use(gpus, visible, cuda, sentence, monkeypatch):
    """A run on the CPU of such a machine says why."""
    from mmengine.config import Config

    from mmum.engine.config.prepare import fit_device

    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr('torch.version.cuda', cuda)
    monkeypatch.setattr('glob.glob', lambda pattern: gpus)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    said = gpu_out_of_reach()
    assert sentence in said if sentence else said is None
    with mock.patch('mmengine.logging.print_log') as log:
        fit_device(Config(dict(model=dict(type='UMMAE'))))
    assert [said in call.args[0] for call in log.call_args_list] == [True] * bool(said)


@pytest.mark.parametrize(
    'kind, sentence',
    [
        ('absent', ', which is not installed: pip install'),
        ('broken', r', and the one installed does not import \(half of it'),
    ],
)
@pytest.mark.parametrize(
    'scope, why, needs',
    [
        ('mmseg', why_no_segmentation, 'segmentation needs mmseg'),
        ('mmdet', why_no_detection, 'detectors need mmdet'),
    ],
)
def test_without_the_package_of_a_model(scope, why, needs, kind, sentence, monkeypatch):
    from mmengine.config import Config

    from mmum.engine.config import prepare
    from mmum.errors import InputError

    real = importlib.util.find_spec, importlib.import_module
    why.cache_clear()
    if kind == 'absent':
        monkeypatch.setattr(
            importlib.util, 'find_spec', lambda n, *a: None if n == scope else real[0](n, *a)
        )
    else:

        def broken(name, *args):
            if name == f'{scope}.datasets':
                raise AssertionError('half of it')
            return real[1](name, *args)

        monkeypatch.setattr(importlib, 'import_module', broken)
    with pytest.raises(InputError, match=needs + sentence):
        prepare(Config(dict(model=dict(type='EncoderDecoder'), default_scope=scope)))
    why.cache_clear()


@pytest.mark.parametrize(
    'name, module, error, install',
    [
        ('mmdet', 'mmdet', RuntimeError('half installed'), 'reinstall it with pip install .*mmdet'),
        (
            'mmcv',
            'mmcv',
            ImportError('libGL.so.1: cannot open shared object file: No such file or directory'),
            'OpenCV wants this system library .* --no-deps opencv-python-headless',
        ),
        (
            'pycocotools',
            'pycocotools.mask',
            ValueError('numpy.dtype size changed'),
            'reinstall it with pip install --force-reinstall pycocotools',
        ),
    ],
)
def test_a_package_that_does_not_import_is_named(name, module, error, install, monkeypatch):
    real = importlib.import_module

    def broken(asked, *args):
        if asked == module:
            raise error
        return real(asked, *args)

    monkeypatch.setattr(importlib, 'import_module', broken)
    said = re.escape(f'{name}, and the one installed does not import ({error}): ')
    with pytest.raises(ImportError, match=said + install):
        check_environment()


def test_torchvision_has_nms():
    """Its own where it loads, mmcv's where not; mmpretrain's image transforms work either way."""
    import torch

    boxes, scores = (
        torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]]),
        torch.tensor([0.5, 0.9, 0.1]),
    )
    assert torch.ops.torchvision.nms(boxes, scores, 0.5).tolist() == [1, 2]


def test_transformers_of_another_major_is_left_alone(tmp_path):
    """mmpretrain defines its language models beside any transformers, and dies with version 5."""
    (tmp_path / 'transformers-5.0.0.dist-info').mkdir()
    (tmp_path / 'transformers-5.0.0.dist-info' / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: transformers\nVersion: 5.0.0\n'
    )
    (tmp_path / 'transformers.py').write_text('')
    code = (
        'import mmum; from mmpretrain.models import multimodal; print("Blip2" in dir(multimodal))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'},
        check=False,
    )
    assert result.returncode == 0 and result.stdout.split()[-1] == 'False', result.stderr[-2000:]
