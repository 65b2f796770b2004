"""The weights beside the results: small, whole, and worth something on images of another origin."""

import gzip

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config

import mmum
from mmum.datasets.drawn_nuclei import draw
from tests.helpers import ROOT

pytestmark = pytest.mark.slow

RESULTS = ROOT / 'docs' / 'results'
FILES = sorted(RESULTS.glob('*.safetensors.gz'))


@pytest.fixture(scope='module')
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    for file in FILES:
        (folder / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    return folder


def test_they_are_under_10_megabytes():
    assert len(FILES) == 2 and all(file.stat().st_size < 10e6 for file in FILES)


def test_the_encoder_is_whole(unpacked):
    backbone = mmum.load_backbone(unpacked / 'um_mae_swin_nano_nuclei_two_stages.safetensors')
    (features,) = backbone(torch.zeros(1, 3, 128, 128))
    assert type(backbone).__name__ == 'UMSwin' and features.shape == (1, 384, 4, 4)


def test_the_detector_finds_nuclei_that_were_drawn(unpacked):
    config = ROOT / 'configs' / 'detection' / 'mask-rcnn_um-swin-nano_fpn_nuclei.py'
    inferencer = DetInferencer(
        Config.fromfile(config),
        str(unpacked / 'mask-rcnn_um-swin-nano_fpn_nuclei.safetensors'),
        device='cpu',
        show_progress=False,
    )
    pictures, truth = zip(*(draw(np.random.default_rng(seed), 128) for seed in range(6)))
    found = inferencer(
        [np.repeat(picture[..., None], 3, 2) for picture in pictures], return_datasamples=True
    )
    right = wrong = 0
    for masks, sample in zip(truth, found['predictions'], strict=True):
        sure = sample.pred_instances[sample.pred_instances.scores > 0.5]
        for mask in sure.masks.numpy():
            ious = [(mask & one).sum() / (mask | one).sum() for one in masks]
            right, wrong = right + (max(ious) > 0.5), wrong + (max(ious) <= 0.5)
    assert right >= 12 and 2 * right > wrong, (right, wrong)  # chance: none
