"""The inferencers of mmdet, mmseg and mmpretrain on shipped configs, as they are."""

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmpretrain import FeatureExtractor, ImageClassificationInferencer, get_model
from mmseg.apis import MMSegInferencer
from mmseg.registry import MODELS as SEGMENTORS

import mmum
from mmum.engine import load_config
from tests.helpers import ROOT

DETECTOR = str(ROOT / 'configs' / 'detection' / 'mask-rcnn_um-swin-nano_fpn_mini.py')
PRETRAINING = 'um_mae_swin_nano_mini'


@pytest.fixture
def images(mini):
    return [str(path) for path in sorted((mini / 'val').iterdir())[:2]]


def test_detectors(images, tmp_path):
    init_default_scope('mmdet')
    cfg = load_config(DETECTOR)
    classes = tuple(cfg.test_dataloader.dataset.metainfo.classes)
    model = MODELS.build(cfg.model)
    model.init_weights()
    path = str(tmp_path / 'x.pth')
    meta = dict(dataset_meta=dict(classes=classes, palette='random'))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    inferencer = DetInferencer(DETECTOR, path, device='cpu', show_progress=False)
    found = inferencer(images, no_save_vis=True, batch_size=2)['predictions']
    assert len(found) == 2 and all('masks' in one for one in found)
    detector = init_detector(DETECTOR, path, device='cpu')
    for one, other in zip(found, inference_detector(detector, images)):
        assert np.allclose(one['scores'], other.pred_instances.scores, atol=1e-5)


def test_segmentation(images, tmp_path):
    init_default_scope('mmseg')
    name = str(ROOT / 'configs' / 'segmentation' / 'upernet_um-swin-nano_mini.py')
    cfg = load_config(name)
    model = SEGMENTORS.build(cfg.model)
    model.init_weights()
    path = str(tmp_path / 'x.pth')
    classes = cfg.test_dataloader.dataset.metainfo.classes
    meta = dict(dataset_meta=dict(classes=classes, palette=[[i, i, i] for i in range(11)]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    found = MMSegInferencer(name, path, device='cpu', show_progress=False)(images)['predictions']
    assert len(found) == 2 and all(one.shape == (128, 128) for one in found)


def test_features_equal_those_of_embed(images, mini, tmp_path):
    model = get_model(PRETRAINING)
    path = tmp_path / 'epoch_1.pth'
    cfg = load_config(PRETRAINING)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text)), path)
    found = FeatureExtractor(PRETRAINING, str(path))(images)
    features, names = mmum.embed(mini / 'val', path, workers=0)
    for image, (feature,) in zip(images, found):
        vector = features[names.index(image.rpartition('/')[2])]
        assert np.allclose(feature.mean((1, 2)), vector, atol=1e-5)


def test_classifiers(images, tmp_path):
    name = 'um-vit-base_8xb128-coslr-100e_in1k'
    model = get_model(name)
    path = tmp_path / 'x.pth'
    meta = dict(dataset_meta=dict(classes=[f'class {i}' for i in range(1000)]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    found = ImageClassificationInferencer(name, str(path))(images)
    assert [one['pred_class'] for one in found] == [f'class {one["pred_label"]}' for one in found]
