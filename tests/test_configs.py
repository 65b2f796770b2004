"""Every config file is read and built, at its full size (on the meta device: no memory, no
time)."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmum.engine.config import load_config
from mmum.engine.config.options import set_auto_scale_lr
from mmum.errors import InputError
from tests.helpers import ROOT, shrink

CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
BASES = sorted((ROOT / 'configs' / '_base_').rglob('*.py'))


def test_all_were_seen():
    assert len(CONFIGS) == 91, (
        'a config came or went: adjust the number, so that none is skipped in silence'
    )
    assert len(BASES) == 18


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path):
    cfg = load_config(str(path))
    init_default_scope(cfg.default_scope)
    if cfg.default_scope == 'mmdet':
        from mmdet.registry import MODELS, TRANSFORMS
    elif cfg.default_scope == 'mmseg':
        from mmseg.registry import MODELS, TRANSFORMS
    else:
        from mmpretrain.registry import MODELS, TRANSFORMS
    # mmpretrain's Swin reads numbers off tensors while it is built, and learned positions start as
    # their values
    upstream = cfg.model.backbone.type in (
        'SimMIMSwinTransformer',
        'UMStockSwin',
    ) or cfg.model.backbone.get('learn_positions')
    with torch.device('cpu' if upstream else 'meta'):
        model = MODELS.build(cfg.model)
    for loader in ('train_dataloader', 'test_dataloader'):
        for transform in cfg[loader].dataset.pipeline if cfg[loader] else ():
            TRANSFORMS.build(transform)
    if cfg.model.type == 'ImageClassifier':
        blocks = (
            model.backbone.stages[-1] if hasattr(model.backbone, 'stages') else model.backbone
        ).blocks
        assert (
            model.head.fc.in_features
            == blocks[-1].norm1.normalized_shape[0]
            == cfg.model.neck.in_channels
        )
    if cfg.model.type == 'UMMAE':
        last = list(model.backbone.children())[-1]
        assert model.neck.embed.in_features == last.normalized_shape[0]
        sizes = {
            t.input_size for t in cfg.train_dataloader.dataset.pipeline if t.type == 'UniformMask'
        }
        crops = {
            t.scale
            for t in cfg.train_dataloader.dataset.pipeline
            if t.type in ('RandomResizedCrop', 'LoadCropResize')
        }
        assert sizes == crops


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_header_tells_command_and_hardware(path):
    header = path.read_text().split('\n_base_')[0]
    assert f'configs/{path.relative_to(ROOT / "configs")}' in header
    assert 'Hardware' in header
    assert all(line.startswith('#') for line in header.splitlines())


@pytest.mark.parametrize(
    'name, epochs, warm_up, accumulated, gpus',
    [
        ('um_mae_swin_t', 200, 10, 1, 8),
        ('um_mae_swin_l', 800, 40, 4, 8),
        ('um_mae_pvt_s', 200, 10, 1, 8),
        ('um_mae_vit_b', 200, 10, 1, 8),
        ('simmim_um_swin_t', 200, 10, 4, 8),
        ('simmim_um_pvt_s', 200, 10, 4, 8),
        ('simmim_swin_t', 200, 10, 4, 8),
        ('mae_vit_b', 200, 10, 1, 8),
        ('um_mae_swin_t_no_secondary', 200, 10, 1, 8),
    ],
)
def test_the_papers_recipes(name, epochs, warm_up, accumulated, gpus):
    cfg = Config.fromfile(ROOT / 'configs' / 'selfsup' / f'{name}.py')
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.param_scheduler[0].end == cfg.param_scheduler[1].begin == warm_up
    assert cfg.param_scheduler[1].end == epochs == warm_up + cfg.param_scheduler[1].T_max
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(2.4e-3)
    assert (
        cfg.train_dataloader.batch_size * cfg.optim_wrapper.get('accumulative_counts', 1) * gpus
        == 4096
    )


@pytest.mark.parametrize(
    'model, decay, drop_path',
    [
        ('um-swin-tiny', 0.85, 0.1),
        ('um-swin-large', 0.7, 0.2),
        ('um-pvt-small', 0.85, 0.1),
        ('um-vit-base', 0.8, 0.1),
    ],
)
def test_the_papers_fine_tuning(model, decay, drop_path):
    cfg = Config.fromfile(
        ROOT / 'configs' / 'classification' / f'{model}_8xb128-coslr-100e_in1k.py'
    )
    assert (
        cfg.optim_wrapper.optimizer.lr == pytest.approx(2e-3)
        and cfg.optim_wrapper.optimizer.weight_decay == 0.05
    )
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == decay
    assert cfg.model.backbone.drop_path_rate == drop_path and cfg.model.backbone.norm_cfg is None
    assert cfg.train_dataloader.batch_size * 8 == 1024
    assert cfg.param_scheduler[1].eta_min_ratio * 2e-3 == pytest.approx(1e-6)
    kinds = [t.type for t in cfg.train_pipeline]
    assert kinds == [
        'LoadImageStrict',
        'RandomResizedCrop',
        'RandomFlip',
        'RandAugment',
        'RandomErasing',
        'PackInputs',
    ]
    size = 224 if model == 'um-vit-base' else 256
    assert (
        cfg.train_dataloader.dataset.pipeline[1].scale
        == cfg.test_dataloader.dataset.pipeline[2].crop_size
        == size
    )


@pytest.mark.parametrize('model', ['um-swin-tiny', 'um-swin-large', 'um-pvt-small', 'um-vit-base'])
def test_linear_probe_and_knn(model):
    cfg = Config.fromfile(
        ROOT / 'configs' / 'classification' / f'{model}_8xb512-linear-coslr-90e_in1k.py'
    )
    assert cfg.train_dataloader.batch_size * 8 * cfg.optim_wrapper.accumulative_counts == 16384
    assert cfg.optim_wrapper.optimizer.lr == 6.4
    knn = Config.fromfile(ROOT / 'configs' / 'classification' / f'{model}_knn_in1k.py')
    pipelines = [
        loader.dataset.pipeline
        for loader in (knn.test_cfg.bank_dataloader, knn.test_dataloader, cfg.test_dataloader)
    ]
    assert pipelines[0] == pipelines[1] == pipelines[2]


@pytest.mark.parametrize(
    'path', [p for p in CONFIGS if p.parent.name == 'selfsup'], ids=lambda path: path.stem
)
def test_pretraining_learns_on_its_own_pipeline(path, mini):
    """Every pre-training, smaller but at its image size: data through its pipeline, loss, gradient,
    one step down."""
    from mmengine.dataset import default_collate
    from mmpretrain.registry import DATASETS, MODELS

    cfg = load_config(str(path), dict(data_root=str(mini / 'unlabelled')))
    init_default_scope('mmpretrain')
    shrink(cfg)
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor}).train()
    model.init_weights()
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = model.data_preprocessor(default_collate([dataset[i] for i in range(2)]), True)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    losses = []
    for _ in range(2):
        torch.manual_seed(0)  # mmpretrain's MAE draws its masks in the model
        loss = model(**batch, mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert 0 < losses[1] < losses[0] < 10


def test_one_dimensional_parameters_do_not_decay():
    from mmengine.optim import build_optim_wrapper
    from mmpretrain.registry import MODELS

    cfg = Config.fromfile(ROOT / 'configs' / 'selfsup' / 'um_mae_swin_nano_mini.py')
    init_default_scope('mmpretrain')
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    decayed = {id(p) for group in groups if group['weight_decay'] for p in group['params']}
    assert decayed == {id(p) for p in model.parameters() if p.dim() > 1}


def test_data_root_and_pretrained_reach_everything():
    path = str(ROOT / 'configs' / 'detection' / 'mask-rcnn_um-swin-t_fpn_1x_coco.py')
    cfg = load_config(path, dict(data_root='/elsewhere', pretrained='x.pth'))
    text = str(cfg)
    assert 'data/coco' not in text
    assert cfg.train_dataloader.dataset.data_root == '/elsewhere/'
    assert cfg.test_evaluator.ann_file == '/elsewhere/annotations/instances_val2017.json'
    assert cfg.model.backbone.init_cfg.checkpoint == 'x.pth'
    path = str(ROOT / 'configs' / 'selfsup' / 'um_mae_swin_l.py')
    assert (
        load_config(path, dict(data_root='/images')).train_dataloader.dataset.data_root == '/images'
    )


def test_scaled_learning_rates_count_accumulated_steps():
    cfg = load_config(str(ROOT / 'configs' / 'selfsup' / 'um_mae_swin_l.py'))
    set_auto_scale_lr(cfg)
    # 8 GPUs x 128 images a step is what mmengine will compare with it: no change at 4 accumulated
    # steps
    assert cfg.auto_scale_lr.enable and cfg.auto_scale_lr.base_batch_size == 8 * 128
    cfg.pop('auto_scale_lr')
    with pytest.raises(InputError, match='base_batch_size'):
        set_auto_scale_lr(cfg)


def test_options_that_do_not_fit():
    path = str(ROOT / 'configs' / 'selfsup' / 'um_mae_swin_t.py')
    with pytest.raises(InputError, match='train_dataloader.dataset.pipeline.99'):
        load_config(path, {'train_dataloader.dataset.pipeline.99.x': 1})
    with pytest.raises(InputError, match='absent.py does not exist'):
        load_config('absent.py')


@pytest.mark.parametrize('size', [(128, 128), (100, 300), (640, 481)])
def test_the_nano_pretraining_is_tested_on_images_of_any_size(size, tmp_path):
    """Those of the mini data set stay as they are, to the pixel."""
    import cv2
    import numpy as np
    from mmpretrain.registry import DATASETS

    image = np.random.randint(0, 256, (*size, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    cfg = load_config('um_mae_swin_nano_mini', dict(data_root=str(tmp_path)))
    init_default_scope('mmpretrain')
    inputs = DATASETS.build(cfg.test_dataloader.dataset)[0]['inputs']
    assert inputs.shape == (3, 128, 128)
    if size == (128, 128):
        assert torch.equal(inputs, torch.from_numpy(image).permute(2, 0, 1))
