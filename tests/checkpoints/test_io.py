"""Checkpoints as others write them: wrapped, under other keys, by another numpy."""

import sys
import types
import zipfile

import numpy as np
import pytest
import torch

import mmum
from mmum.checkpoints import read_checkpoint, weights_of, write_checkpoint
from mmum.engine.reliability.resume import _read_for_mmengine, find_latest_checkpoint
from mmum.errors import InputError
from mmum.models import UMStockSwin, UMSwin
from tests.helpers import SMALL_ARCH, Evil


@pytest.fixture(scope='module')
def weights():
    return UMSwin(SMALL_ARCH).state_dict()


def wrap(weights, prefix):
    return {f'{prefix}{name}': value for name, value in weights.items()}


@pytest.mark.parametrize(
    'prefix', ['module.', '_orig_mod.', 'model.', 'model._orig_mod.', 'module.model.', 'backbone.']
)
@pytest.mark.parametrize('place', [None, 'state_dict', 'model', 'teacher', 'model_ema'])
def test_prefixes_and_places(prefix, place, weights, tmp_path):
    """DDP, torch.compile, Lightning, EMA and DINO: the same backbone."""
    content = wrap(weights, prefix)
    torch.save(content if place is None else {place: content, 'epoch': 3}, tmp_path / 'x.pth')
    loaded = mmum.load_backbone(tmp_path / 'x.pth').state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


@pytest.mark.parametrize('prefix', ['', 'module.', 'model.', '_orig_mod.'])
@pytest.mark.parametrize('place', [None, 'state_dict', 'model', 'teacher'])
def test_mmengine_gets_the_same_weights(prefix, place, weights, tmp_path):
    """Where it would find nothing, and test random weights: it looks under state_dict alone."""
    content = wrap(wrap(weights, 'backbone.'), prefix)
    torch.save(content if place is None else {place: content, 'epoch': 3}, tmp_path / 'x.pth')
    loaded = _read_for_mmengine(str(tmp_path / 'x.pth'))['state_dict']
    names = {name.removeprefix('module.'): value for name, value in loaded.items()}
    assert set(names) == {f'backbone.{name}' for name in weights}
    assert all(torch.equal(names[f'backbone.{name}'], value) for name, value in weights.items())


def test_several_sets_of_weights(weights, tmp_path):
    other = {name: value + 1 for name, value in weights.items()}
    torch.save(
        dict(student=wrap(other, 'backbone.'), teacher=wrap(weights, 'backbone.')),
        tmp_path / 'x.pth',
    )
    with pytest.raises(InputError, match='holds weights under teacher and student: choose one'):
        mmum.load_backbone(tmp_path / 'x.pth')
    for key, expected in (('teacher', weights), ('student', other)):
        loaded = mmum.load_backbone(tmp_path / 'x.pth', key=key).state_dict()
        assert torch.equal(loaded['patch_embed.weight'], expected['patch_embed.weight'])
    with pytest.raises(InputError, match="has no weights under 'techer': it has student, teacher"):
        mmum.load_backbone(tmp_path / 'x.pth', key='techer')


@pytest.mark.parametrize('written', ['_core', 'core'])
def test_another_numpy_major(written, weights, tmp_path):
    """mmengine's checkpoints hold numbers of numpy, whose module has another name in 1 and 2."""
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict=weights, meta=dict(loss=np.float64(0.5), a=np.arange(3.0))), path)
    other = tmp_path / 'epoch_1.pth'
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, 'w') as target:
        for item in source.infolist():
            data = source.read(item)
            if item.filename.endswith('data.pkl'):
                data = swap_module(
                    data, b'numpy._core.multiarray', f'numpy.{written}.multiarray'.encode()
                )
            target.writestr(item.filename, data)
    content = read_checkpoint(other)
    assert content['meta']['loss'] == 0.5 and content['meta']['a'].tolist() == [0.0, 1.0, 2.0]
    assert find_latest_checkpoint(tmp_path) == str(other)


def swap_module(pickled, old, new):
    """Replace the name of a module in a pickle of protocol 2, where GLOBAL ends it by a line."""
    assert b'c' + old + b'\n' in pickled
    return pickled.replace(b'c' + old + b'\n', b'c' + new + b'\n')


def test_microsofts_training_files(tmp_path, monkeypatch):
    """They carry a config of yacs, which need not be installed to read them."""
    module = types.ModuleType('yacs.config')
    module.CfgNode = type('CfgNode', (dict,), dict(__module__='yacs.config'))
    monkeypatch.setitem(sys.modules, 'yacs', types.ModuleType('yacs'))
    monkeypatch.setitem(sys.modules, 'yacs.config', module)
    config = module.CfgNode(MODEL=module.CfgNode(TYPE='swin'))
    config.frozen = True
    weights = UMStockSwin(SMALL_ARCH).state_dict()
    torch.save(dict(model=weights, config=config), tmp_path / 'x.pth')
    monkeypatch.delitem(sys.modules, 'yacs.config')
    monkeypatch.delitem(sys.modules, 'yacs')
    assert set(weights_of(read_checkpoint(tmp_path / 'x.pth'))) == set(weights)


def test_refused_is_not_damaged(weights, tmp_path):
    torch.save(dict(state_dict=weights, meta=Evil()), tmp_path / 'epoch_1.pth')
    with pytest.raises(InputError, match='was refused because loading it would call') as error:
        find_latest_checkpoint(tmp_path)
    assert 'is damaged' not in str(error.value) and 'are damaged' not in str(error.value)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_others_may_read_what_the_umask_lets_them(suffix, weights, tmp_path):
    (tmp_path / 'plain').touch()
    write_checkpoint(tmp_path / f'x{suffix}', weights)
    assert (tmp_path / f'x{suffix}').stat().st_mode == (tmp_path / 'plain').stat().st_mode
    # also where a write that was interrupted left its file
    (tmp_path / f'y{suffix}.partial').write_bytes(b'x')
    (tmp_path / f'y{suffix}.partial').chmod(0o600)
    write_checkpoint(tmp_path / f'y{suffix}', weights)
    assert (tmp_path / f'y{suffix}').stat().st_mode == (tmp_path / 'plain').stat().st_mode
