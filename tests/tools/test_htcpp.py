"""HTC++ has the settings of its papers."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope

from mmum.engine.config import load_config
from tests.helpers import ROOT


def test_the_papers_htc():
    """HTC++ as the Swin paper has it."""
    cfg = load_config(str(ROOT / 'configs' / 'detection' / 'htcpp_um-swin-l_fpn_6x_coco.py'))
    assert cfg.model.type == 'HybridTaskCascade' and cfg.model.backbone.drop_path_rate == 0.2
    assert cfg.train_cfg.max_epochs == 72 and cfg.param_scheduler[1].milestones == [63, 69]
    assert cfg.optim_wrapper.optimizer.type == 'AdamW' and cfg.optim_wrapper.optimizer.lr == 1e-4
    assert 'momentum' not in cfg.optim_wrapper.optimizer
    kinds = [t.type for t in cfg.train_dataloader.dataset.pipeline]
    assert kinds == [
        'LoadImageStrict',
        'LoadAnnotations',
        'OpenCVInstaBoost',
        'RandomResize',
        'RandomFlip',
        'PackDetInputs',
    ]
    assert cfg.train_dataloader.dataset.pipeline[3].scale == [(1600, 400), (1600, 1400)]
    assert (
        cfg.model.test_cfg.rcnn.nms.type == 'soft_nms'
        and cfg.model.neck.type == 'GlobalAttentionFPN'
    )
    assert cfg.model.roi_head.semantic_head.num_classes == 183 and cfg.model.backbone.with_cp


@pytest.mark.parametrize('size, side, other', [((400, 600), 400, 600), ((640, 480), 533, 400)])
def test_scales_of_htcpp(size, side, other):
    """The short side is 400 to 1400 and the long one at most 1600."""
    from mmdet.registry import TRANSFORMS

    init_default_scope('mmdet')
    cfg = load_config(str(ROOT / 'configs' / 'detection' / 'htcpp_um-swin-t_fpn_6x_coco.py'))
    resize = TRANSFORMS.build(cfg.train_pipeline[3])
    short = []
    for _ in range(200):
        shape = resize(dict(img=np.zeros((*size, 3), np.uint8)))['img_shape']
        assert min(shape) <= 1400 and max(shape) <= 1600
        short.append(min(shape))
    assert min(short) >= 400 and min(short) < 480 and max(short) > 950
