"""Options on top-level variables reach what was made of them, or are refused."""

import argparse

import pytest
from mmengine.config import Config

from mmum.cli.command import OptionAction
from mmum.engine.config import load_config
from mmum.engine.config.prepare import prepare
from mmum.errors import InputError
from tests.helpers import ROOT

BASE = ROOT / 'configs' / 'selfsup' / 'um_mae_swin_nano_mini.py'
UPERNET = ROOT / 'configs' / 'segmentation' / 'upernet_um-swin-nano_mini.py'
DETECT = ROOT / 'configs' / 'detection' / 'mask-rcnn_um-swin-t_fpn_1x_coco.py'


@pytest.fixture
def config(tmp_path):
    """A config with variables that look like parts of other strings."""
    path = tmp_path / 'config.py'
    path.write_text(
        f"""_base_ = '{BASE}'
data_root = 'data/imagenet'
split = 'train'
corrupted = dict(data_root='data/imagenet_c/x')
train_dataloader = dict(dataset=dict(data_root=data_root, data_prefix=split))
test_dataloader = dict(dataset=dict(data_root=data_root + '/val', ann_file='train/list.txt'))
"""
    )
    return str(path)


def test_whole_path_components(config):
    cfg = load_config(config, dict(data_root='/new'))
    assert cfg.data_root == cfg.train_dataloader.dataset.data_root == '/new'
    assert cfg.test_dataloader.dataset.data_root == '/new/val'
    assert cfg.corrupted.data_root == 'data/imagenet_c/x'
    assert cfg.train_dataloader.dataset.data_prefix == 'train'


def test_a_root_inside_the_old_one(config):
    cfg = load_config(config, dict(data_root='data/imagenet/part'))
    assert cfg.test_dataloader.dataset.data_root == 'data/imagenet/part/val'
    prepare(cfg)  # again, as every launcher does: nothing moves twice
    assert cfg.test_dataloader.dataset.data_root == 'data/imagenet/part/val'


def test_a_key_that_is_named_itself_has_the_last_word(config):
    options = {'data_root': '/new', 'test_dataloader.dataset.data_root': '/other'}
    cfg = load_config(config, options)
    assert cfg.train_dataloader.dataset.data_root == '/new'
    assert cfg.test_dataloader.dataset.data_root == '/other'


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(split='val'), 'split changes nothing: split is a variable that the config uses'),
        (dict(data_rooot='x'), 'data_rooot changes nothing.* did you mean data_root'),
        (dict(lr=1e-9), 'the option lr changes nothing: the config has no lr'),
        ({'train_pipeline.1.scale': 64}, 'train_pipeline.1.scale changes nothing'),
    ],
)
def test_an_option_that_changes_nothing_is_an_error(config, options, sentence):
    with pytest.raises(InputError, match=sentence):
        load_config(config, options)


def test_two_preprocessors_of_which_one_is_not_used():
    """mmengine takes the model's and leaves out the other, to_rgb included."""
    options = {
        'model.data_preprocessor.mean': [60.0] * 3,
        'model.data_preprocessor.std': [60.0] * 3,
    }
    with pytest.raises(InputError, match='takes the place of .*, whose to_rgb=True would not be'):
        prepare(load_config(str(BASE), options))
    prepare(load_config(str(BASE), {key.removeprefix('model.'): options[key] for key in options}))
    prepare(load_config(str(UPERNET), options))
    with pytest.raises(InputError, match='changes nothing: .* set model.data_preprocessor.mean'):
        load_config(str(UPERNET), {'data_preprocessor.mean': [60.0] * 3})


def test_pretrained_and_num_classes():
    cfg = load_config(str(DETECT), dict(pretrained='x.pth', num_classes=7))
    assert cfg.model.backbone.init_cfg == dict(type='BackboneCheckpoint', checkpoint='x.pth')
    heads = cfg.model.roi_head
    assert heads.bbox_head.num_classes == heads.mask_head.num_classes == 7
    htc = ROOT / 'configs' / 'detection' / 'htc_um-swin-t_fpn_3x_coco.py'
    cfg = load_config(str(htc), dict(num_classes=7))
    assert cfg.model.roi_head.semantic_head.num_classes == 183
    assert {head.num_classes for head in cfg.model.roi_head.bbox_head} == {7}


def test_another_launcher_overrides_variables_without_carrying_them():
    """mmdet's own train.py merges options and builds the runner that the config names."""
    cfg = Config.fromfile(DETECT)
    cfg.merge_from_dict(dict(data_root='/new/', pretrained='x.pth', work_dir='work'))
    prepare(cfg)
    assert cfg.train_dataloader.dataset.data_root == '/new/'
    assert cfg.val_evaluator.ann_file == '/new/annotations/instances_val2017.json'
    assert cfg.model.backbone.init_cfg.checkpoint == 'x.pth'
    again = cfg.pretty_text
    prepare(cfg)
    assert cfg.pretty_text == again


@pytest.mark.parametrize('text', ['batch,7', '2023', '(a)', 'line 3', 'a=b'])
def test_paths_are_taken_as_they_are(text):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction)
    options = parser.parse_args(['--cfg-options', f'data_root={text}', 'x.y=[1,2]']).cfg_options
    assert options == {'data_root': text, 'x.y': [1, 2]}
    assert parser.parse_args(['--cfg-options', 'pretrained=None']).cfg_options == {
        'pretrained': None
    }
