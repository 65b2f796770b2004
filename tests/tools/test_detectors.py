"""Every detector, smaller but through its own config: two training steps, and box and mask AP."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from mmum.engine.config import load_config
from mmum.engine.scale import BFloat16DetectorOptimWrapper
from tests.helpers import ROOT, SMALLER, golden

pytestmark = pytest.mark.slow

DETECTORS = sorted(
    path for path in (ROOT / 'configs' / 'detection').glob('*.py') if 'tta' not in path.stem
)
SMALL_SIDES = dict(
    Resize=dict(scale=(128, 128)),
    RandomResize=dict(scale=[(128, 96), (128, 128)], ratio_range=None),
    RandomChoiceResize=dict(scales=[(96, 128), (128, 128)]),
    RandomCrop=dict(crop_size=(96, 96)),
)
WIDTHS = {
    'in_channels': {256: 64},
    'out_channels': {256: 64},
    'feat_channels': {256: 64},
    'conv_out_channels': {256: 64},
    'fc_out_channels': {1024: 64},
    'num_heads': {24: 4, 48: 4},
}


def reduce(value):
    """Smaller images and widths, everywhere in a config."""
    if isinstance(value, dict):
        value.update(
            {
                k: v
                for k, v in SMALL_SIDES.get(value.get('type'), {}).items()
                if k in value or k != 'ratio_range'
            }
        )
        for key, one in value.items():
            if isinstance(one, int):
                value[key] = WIDTHS.get(key, {}).get(one, one)
            else:
                reduce(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            reduce(one)


@pytest.fixture(scope='module')
def coco(mini):
    """The mini set with stuff maps."""
    (mini / 'stuff').mkdir(exist_ok=True)
    for path in (mini / 'train').glob('*.jpg'):
        cv2.imwrite(
            str(mini / 'stuff' / f'{path.stem}.png'),
            np.random.RandomState(0).randint(0, 183, (128, 128), np.uint8),
        )
    return mini


def small_config(path, coco):
    cfg = load_config(str(path), dict(data_root=f'{coco}/', num_classes=10))
    backbone = cfg.model.backbone
    backbone.update(SMALLER[backbone.type])
    if backbone.type == 'UMPVT':
        backbone.pop('window_size', None)
    cfg.model.neck.in_channels = [16, 32, 64, 128][-len(backbone.out_indices) :]
    for part in (
        cfg.model.neck,
        cfg.model.get('rpn_head'),
        cfg.model.get('roi_head'),
        cfg.model.get('bbox_head'),
    ):
        reduce(part)
    if cfg.model.get('roi_head'):  # fewer boxes
        stages = (
            cfg.model.train_cfg.rcnn
            if isinstance(cfg.model.train_cfg.rcnn, list)
            else [cfg.model.train_cfg.rcnn]
        )
        for stage in stages:
            stage.sampler.num = 32
        cfg.model.train_cfg.rpn_proposal.max_per_img = cfg.model.test_cfg.rpn.max_per_img = 50
        cfg.model.test_cfg.rcnn.score_thr = 0.001
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.test_dataloader, 'val')):
        dataset = loader.dataset
        reduce(dataset.pipeline)
        seg = dict(seg='stuff/') if 'seg' in dataset.data_prefix else {}
        dataset.update(
            ann_file=f'annotations/{split}.json',
            data_prefix=dict(img=f'{split}/', **seg),
            metainfo=dict(classes=tuple('0123456789')),
        )
    cfg.test_evaluator.ann_file = f'{coco}/annotations/val.json'
    return cfg


@pytest.mark.parametrize('path', DETECTORS, ids=lambda path: path.stem)
def test_two_steps_and_an_evaluation(path, coco):
    from mmdet.registry import DATASETS, METRICS, MODELS

    init_default_scope('mmdet')
    cfg = small_config(path, coco)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = model.data_preprocessor(pseudo_collate([dataset[i] for i in range(2)]), True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    torch.manual_seed(0)
    with BFloat16DetectorOptimWrapper(optimizer).optim_context(model):
        rough, _ = model.parse_losses(model(**batch, mode='loss'))
    losses = []
    for _ in range(3):  # the third is the loss after two steps
        torch.manual_seed(0)  # which boxes are sampled
        loss, parts = model.parse_losses(model(**batch, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert rough.dtype == torch.float32 and rough.item() == pytest.approx(losses[0], rel=0.1)
    # the targets of GFL are the quality of its own boxes: its loss may grow at first
    assert np.isfinite(losses).all() and (losses[2] < losses[0] or cfg.model.type == 'GFL')
    without = [
        name for name, p in model.backbone.named_parameters() if p.requires_grad and p.grad is None
    ]
    assert not [
        name for name in without if 'secondary_token' not in name and 'mask_token' not in name
    ]
    kinds = {'loss_mask' in key.rpartition('.')[2] for key in parts}
    masks = True in kinds
    assert masks == ('gfl' not in path.stem)
    assert ('loss_semantic_seg' in parts) == bool(
        cfg.model.get('roi_head', {}).get('semantic_head')
    )
    model.eval()
    cfg.test_evaluator.pop('backend_args', None)
    metric = METRICS.build(cfg.test_evaluator)
    validation = DATASETS.build(cfg.test_dataloader.dataset)
    metric.dataset_meta = validation.metainfo
    with torch.no_grad():
        for i in range(2):
            samples = model.test_step(pseudo_collate([validation[i]]))
            metric.process({}, [sample.to_dict() for sample in samples])
    found = metric.evaluate(2)
    assert 0 <= found['coco/bbox_mAP'] <= 1 and ('coco/segm_mAP' in found) == masks


@pytest.mark.parametrize(
    'path',
    [path for path in DETECTORS if '_um_' in path.stem and 'nano' not in path.stem],
    ids=lambda path: path.stem,
)
def test_the_authors_files_start_it(path, tmp_path):
    """A checkpoint in their names: every key of the encoder is used, and nothing else is wanting
    but the new norms."""
    from mmum.checkpoints import load_backbone
    from mmum.checkpoints.authors_keys import from_authors

    cfg = load_config(str(path))
    kind = 'pvt' if cfg.model.backbone.type == 'UMPVT' else 'swin'
    numbers = golden(f'um_mae_{kind}_pretrain')
    weights = {
        key.removeprefix('weight.'): value
        for key, value in numbers.items()
        if key.startswith('weight.')
    }
    arch = dict(
        embed_dims=(16, 32, 64, 128),
        depths=(2, 2, 2, 2),
        num_heads=(1, 2, 4, 8),
        mlp_ratios=(4, 4, 4, 4),
    )
    arch = (
        arch if kind == 'pvt' else dict(embed_dims=16, depths=(2, 2, 4, 2), num_heads=(1, 2, 4, 8))
    )
    cfg.model.backbone.update(arch=arch, init_cfg=None)
    if kind == 'swin':
        cfg.model.backbone.pos_mlp_dims = 8
    backbone = MODELS.build(cfg.model.backbone)
    report = load_backbone(backbone, weights)
    ours = {
        key.removeprefix('backbone.'): value
        for key, value in from_authors(weights).items()
        if key.startswith('backbone.')
    }
    state = backbone.state_dict()
    last = {'norm3.weight', 'norm3.bias'} - set(state)
    assert set(ours) - last <= set(state) and all(
        torch.equal(state[key], ours[key]) for key in set(ours) - last
    )
    new = report.splitlines()[2]
    assert 'new: ' in new and 'stages' not in new and 'patch' not in new
    unused = report.splitlines()[3]
    assert 'backbone' not in unused and 'stages' not in unused and 'neck' in unused


def test_soft_and_hard_nms(coco):
    """By the one option that docs/detectors.md names: soft-NMS lowers the scores of what hard NMS
    removes."""
    from mmdet.registry import DATASETS, MODELS

    init_default_scope('mmdet')
    cfg = small_config(
        ROOT / 'configs' / 'detection' / 'htcpp-without-semantic_um-swin-t_fpn_6x_coco.py', coco
    )
    option = 'model.test_cfg.rcnn.nms.type=nms'
    assert option in (ROOT / 'docs' / 'detectors.md').read_text()
    cfg.model.test_cfg.rcnn.max_per_img = 100000
    image = DATASETS.build(cfg.test_dataloader.dataset)[0]
    found = []
    for options in ({}, dict([option.split('=')])):
        cfg.merge_from_dict(options)
        torch.manual_seed(0)
        model = MODELS.build(cfg.model).eval()
        with torch.no_grad():
            found.append(model.test_step(pseudo_collate([image]))[0].pred_instances)
    soft, hard = found
    assert len(soft) > len(hard) > 0
    assert torch.equal(soft.bboxes[0], hard.bboxes[0]) and torch.equal(
        soft.scores[0], hard.scores[0]
    )


def test_multi_scale_testing(coco):
    """Every scale, mirrored and not, soft-NMS over all of them, and masks."""
    from mmdet.registry import DATASETS, MODELS

    from mmum.engine.config.testing import set_tta

    init_default_scope('mmdet')
    cfg = small_config(ROOT / 'configs' / 'detection' / 'htcpp_um-swin-l_fpn_6x_coco_tta.py', coco)
    views = cfg.tta_pipeline[1].transforms
    assert [t.scale for t in views[0]] == [
        (1600, side) for side in (400, 600, 800, 1000, 1200, 1400)
    ]
    views[0] = views[0][:2]
    for t, side in zip(views[0], (64, 128)):
        t.scale = (160, side)
    set_tta(cfg)
    assert cfg.model.tta_cfg.nms.type == 'soft_nms'
    model = MODELS.build(cfg.model).eval()
    batch = pseudo_collate([DATASETS.build(cfg.test_dataloader.dataset)[0]])
    assert len(batch['inputs']) == 4
    with torch.no_grad():
        (found,) = model.test_step(batch)
    assert 0 < len(found.pred_instances) <= 100 and found.pred_instances.masks.shape[1:] == (
        128,
        128,
    )


@pytest.mark.parametrize(
    'name, million',
    [
        ('mask-rcnn_swin-t_fpn_1x_coco', 48),
        ('cascade-mask-rcnn_swin-t_fpn_3x_coco', 86),
        ('cascade-mask-rcnn_swin-b_fpn_3x_coco', 145),
        ('htcpp_um-swin-l_fpn_6x_coco', 284),
    ],
)
def test_parameters_are_those_of_the_swin_paper(name, million):
    """Of UM-MAE's Swin but for the merges: 4 x 2 C^2 and a bias instead of 4 C x 2 C."""
    cfg = load_config(str(ROOT / 'configs' / 'detection' / f'{name}.py'))
    init_default_scope('mmdet')
    upstream = (
        cfg.model.backbone.type == 'UMStockSwin'
    )  # reads numbers off tensors while it is built
    with torch.device('cpu' if upstream else 'meta'):
        model = MODELS.build(cfg.model)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6) == million
