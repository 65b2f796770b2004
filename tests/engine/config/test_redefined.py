"""Variables that a config redefines after its base has used them."""

import pytest
from mmengine.config import Config

from mmum.engine.config import load_config
from mmum.engine.config.load import carry_from_file
from mmum.errors import InputError

BASE = """
data_root = 'old/'
num_classes = 80
pretrained = None
model = dict(
    backbone=dict(init_cfg=dict(type='BackboneCheckpoint', checkpoint=pretrained)),
    head=dict(num_classes=num_classes))
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file=data_root + 'train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root))
"""


@pytest.fixture
def read(tmp_path):
    def read(*levels, foreign=False):
        (tmp_path / 'c0.py').write_text(BASE)
        for i, text in enumerate(levels, 1):
            (tmp_path / f'c{i}.py').write_text(f"_base_ = './c{i - 1}.py'\n{text}\n")
        path = str(tmp_path / f'c{len(levels)}.py')
        if not foreign:
            return load_config(path)
        cfg = Config.fromfile(path)
        carry_from_file(cfg)
        return cfg

    return read


@pytest.mark.parametrize('foreign', [False, True])
@pytest.mark.parametrize('further', [(), ('x = 1',)])
def test_where_nothing_uses_them(read, further, foreign):
    """Also two levels below, and under another launcher."""
    cfg = read(
        "data_root = 'new/'\nnum_classes = 3\npretrained = 'x.pth'", *further, foreign=foreign
    )
    dataset = cfg.train_dataloader.dataset
    assert (dataset.data_root, dataset.ann_file) == ('new/', 'new/train.json')
    assert cfg.val_dataloader.dataset.data_root == 'new/'
    assert cfg.model.head.num_classes == 3
    assert cfg.model.backbone.init_cfg.checkpoint == 'x.pth'


def test_a_file_that_uses_them_is_left_alone(read):
    """The validation images of the base stay where they are."""
    cfg = read("data_root = 'new/'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))")
    assert cfg.train_dataloader.dataset.data_root == 'new/'
    assert cfg.train_dataloader.dataset.ann_file == 'old/train.json'
    assert cfg.val_dataloader.dataset.data_root == 'old/'


def test_a_preprocessor_that_the_model_does_not_use(read):
    base = 'data_preprocessor = dict(mean=1)\nmodel = dict(data_preprocessor=data_preprocessor)'
    with pytest.raises(InputError, match=r'data_preprocessor.mean=2 of .*c2.py would not be used'):
        read(base, 'data_preprocessor = dict(mean=2)')
    assert read(base, 'x = 1').model.data_preprocessor.mean == 1
    # the model's alone, and both, as mmseg's configs have it
    cfg = read(base, 'model = dict(data_preprocessor=dict(mean=3))', 'x = 1')
    assert cfg.model.data_preprocessor.mean == 3
    both = base.replace('1', '4', 1)
    assert read(base, both).model.data_preprocessor.mean == 4
    # what a run with an option wrote, in one file
    apart = 'data_preprocessor = dict(mean=1)\nmodel = dict(data_preprocessor=dict(mean=5))'
    assert read(apart).model.data_preprocessor.mean == 5


def test_what_stays_the_same_changes_nothing(read):
    assert read("data_root = 'old/'").model == read().model
