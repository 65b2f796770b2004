"""Variables of a config file that have no effect are named."""

import pytest

from mmum.engine.config import load_config, unused
from mmum.errors import InputError

BASE = """
norm_cfg = dict(type='SyncBN', requires_grad=True)
max_iters = 300
pipeline_of_two = [dict(type='A'), dict(type='B', scale=(8, 8))]
spare = dict(type='C')
model = dict(type='M', norm=norm_cfg)
train_cfg = dict(max_iters=max_iters)
train_dataloader = dict(dataset=dict(pipeline=pipeline_of_two))
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Read a file with that base; what was said."""
    said = []
    monkeypatch.setattr(unused, 'print_log', lambda text, *_: said.append(text))
    (tmp_path / 'base.py').write_text(BASE)

    def read(text):
        said.clear()
        (tmp_path / 'own.py').write_text(f"_base_ = 'base.py'\n{text}")
        load_config(str(tmp_path / 'own.py'))
        return said

    return read


@pytest.mark.parametrize(
    'text, name',
    [
        ('max_iters = 12', 'max_iters'),
        ("norm_cfg = dict(type='BN')", 'norm_cfg'),  # merged with the base's
        ("pipeline_of_two = [dict(type='A')]", 'pipeline_of_two'),
    ],
)
def test_redefined_in_vain(text, name, load):
    (sentence,) = load(text)
    assert f'{name} of ' in sentence and 'own.py changes nothing: a base has used' in sentence


@pytest.mark.parametrize(
    'text',
    [
        '',
        'max_iters = 300',
        'max_iters = 12\ntrain_cfg = dict(max_iters=max_iters)',
        "spare = dict(type='D')",  # which the base does not use either
        "pipeline_of_two = [dict(type='A'), dict(type='B', scale=[8, 8])]",
        'mine = dict(a=1)',
    ],
)
def test_nothing_is_said_of_the_rest(text, load):
    assert load(text) == []


@pytest.mark.parametrize('name, meant', [('optim_wraper', 'optim_wrapper'), ('models', 'model')])
def test_a_misspelt_setting(name, meant, load):
    with pytest.raises(InputError, match=f'^{name} of .*own.py is used nowhere: .* {meant}?'):
        load(f'{name} = dict(type="X")')
    assert load(f'{name} = dict(type="X")\ncustom_hooks = [{name}]') == []
