"""Runners: what cannot be is refused in one sentence, before anything is spent."""

import copy
import importlib.util
import time

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS

from mmum.checkpoints import write_backbone
from mmum.checkpoints.settings import recorded_settings
from mmum.engine import load_config
from mmum.engine.preflight import preflight
from mmum.engine.runner import await_new_name, build_runner
from mmum.errors import InputError
from tests.helpers import SMALL_ARCH


@pytest.fixture
def cfg(mini, tmp_path):
    cfg = load_config('um_mae_swin_nano_mini', dict(data_root=str(mini / 'unlabelled')))
    cfg.model.backbone.arch = SMALL_ARCH
    cfg.model.neck.in_channels = 128
    cfg.work_dir = str(tmp_path)
    cfg.train_dataloader.batch_size = 4
    return cfg


@pytest.mark.parametrize(
    'key, kind, sentence',
    [
        ('model', 'UMMEA', "a model 'UMMEA', which is not registered: look for a misspelt type"),
        ('train_dataloader.dataset', 'Images', "a dataset 'Images', which is not registered"),
    ],
)
def test_an_unknown_type(cfg, key, kind, sentence):
    cfg.merge_from_dict({f'{key}.type': kind})
    with pytest.raises(InputError, match=sentence):
        build_runner(cfg).train()


def test_a_start_that_would_not_be_used(cfg, tmp_path):
    cfg.load_from = str(tmp_path / 'a.pth')
    cfg.model.backbone.init_cfg = dict(type='BackboneCheckpoint', checkpoint='b.pth')
    with pytest.raises(InputError, match='pretrained=b.pth would not be used, because load_from='):
        build_runner(cfg).train()


def test_a_folder_of_another_run_than_the_one_that_is_resumed(cfg, tmp_path):
    """Its checkpoints would be overwritten one by one."""
    (tmp_path / 'epoch_4.pth').write_bytes(b'')
    cfg.resume, cfg.load_from = True, str(tmp_path / 'other' / 'epoch_3.pth')
    with pytest.raises(InputError, match='holds the checkpoints of another run .epoch_4.pth'):
        build_runner(copy.deepcopy(cfg)).train()
    cfg.load_from = str(tmp_path / 'epoch_4.pth')  # its own
    with pytest.raises(InputError, match='epoch_4.pth is not a checkpoint'):
        build_runner(cfg).train()


def test_images_of_another_normalisation_than_the_checkpoint_was_trained_on(cfg, served, capsys):
    folder, url = served
    checkpoint = folder / 'own.pth'
    weights = build_runner(copy.deepcopy(cfg)).model.state_dict()
    torch.save(dict(state_dict=weights, meta=dict(cfg=cfg.pretty_text)), checkpoint)
    start = folder / 'backbone.safetensors'
    write_backbone(checkpoint, start)
    for file in (checkpoint, start, f'{url}/backbone.safetensors'):
        cfg.model.backbone.init_cfg = dict(type='BackboneCheckpoint', checkpoint=str(file))
        preflight(cfg, ())
        MODELS.build(cfg.model.backbone).init_weights()
        assert (
            'its images: RGB, mean=[123.675, 116.28, 103.53], std=[58.395'
            in capsys.readouterr().out
        )
        other = copy.deepcopy(cfg)
        # a rounding passes, a channel order does not
        other.data_preprocessor.update(mean=[123.68, 116.78, 103.94])
        preflight(other, ())
        other.data_preprocessor.update(mean=[103.53, 116.28, 123.675])
        sentence = (
            r'was trained on images normalised with mean=\[123.675, 116.28, 103.53\], .*, '
            r'to_rgb=True, and data_preprocessor has mean=\[103.53, 116.28, 123.675\], .*: set '
            'data_preprocessor.mean, data_preprocessor.std, data_preprocessor.to_rgb to those of '
            'the checkpoint'
        )
        with pytest.raises(InputError, match=sentence):
            preflight(other, ())
        # caffe's images: BGR, of whatever numbers
        other.data_preprocessor.update(mean=[123.675, 116.28, 103.53], to_rgb=False)
        with pytest.raises(InputError, match='to_rgb=True, and data_preprocessor .* to_rgb=False'):
            preflight(other, ())
        other.default_scope, other.data_preprocessor.bgr_to_rgb = 'mmdet', True  # its own word
        preflight(other, ())
        # bands are normalised while they are loaded
        other.data_preprocessor.update(mean=None, std=None)
        preflight(other, ())


@pytest.mark.parametrize(
    'content',
    [
        [],
        dict(meta=None),
        dict(meta=['x']),
        dict(meta=dict(cfg='a = (')),
        dict(meta=dict(cfg='a = 1\0')),
        dict(meta=dict(config='model = dict(backbone=other, neck=1)')),
        dict(meta=dict(cfg="model = dict(backbone=dict(type='SwinTransformer'))")),
    ],
)
def test_files_of_others_record_no_settings(content):
    assert recorded_settings(content) is None


def test_a_backend_without_its_package(cfg, monkeypatch):
    real = importlib.util.find_spec
    cfg.visualizer.vis_backends.append(dict(type='WandbVisBackend'))
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda n, *a: None if n == 'wandb' else real(n, *a)
    )
    with pytest.raises(InputError, match='WandbVisBackend needs wandb.*pip install wandb'):
        build_runner(cfg)


def test_runs_of_one_second_have_names_of_their_own(cfg):
    """mmengine would give the second one the log file of the first."""
    now = time.strftime('%Y%m%d_%H%M%S')
    MMLogger.get_instance(f'um_mae_swin_nano_mini_{now}')
    await_new_name(cfg)
    assert time.strftime('%Y%m%d_%H%M%S') > now
