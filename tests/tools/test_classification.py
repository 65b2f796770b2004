"""Classification through the tools on a tiny folder of coloured images: fine-tuning, linear probe,
k-NN."""

import re

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image

from mmum.engine.config import load_config
from mmum.engine.preflight import preflight
from mmum.errors import InputError
from tests.helpers import ROOT, output_of

pytestmark = pytest.mark.slow

CONFIGS = ROOT / 'configs'
NAMES = dict(
    swin_t='um-swin-tiny', swin_l='um-swin-large', pvt_s='um-pvt-small', vit_b='um-vit-base'
)
RECIPES = dict(finetune='8xb128-coslr-100e', linear='8xb512-linear-coslr-90e')
COLOURS = dict(blue=(40, 60, 220), green=(40, 200, 60), red=(220, 40, 40))
ARCH = dict(
    swin_t='dict(_delete_=True, embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8))',
    swin_l='dict(_delete_=True, embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8))',
    pvt_s='dict(_delete_=True, embed_dims=(16, 32, 64, 128), depths=(1, 1, 1, 1), '
    'num_heads=(1, 2, 4, 8), mlp_ratios=(2, 2, 2, 2))',
    vit_b='dict(_delete_=True, embed_dims=128, num_layers=2, num_heads=4, '
    'feedforward_channels=128)',
)


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """train/CLASS and val/CLASS: noise around a colour."""
    root = tmp_path_factory.mktemp('labelled')
    random = np.random.RandomState(0)
    for split, number in (('train', 8), ('val', 4)):
        for name, colour in COLOURS.items():
            (root / split / name).mkdir(parents=True)
            for i in range(number):
                pixels = np.clip(random.normal(colour, 30, (72, 96, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f'{i}.jpg')
    return root


def small_config(tmp_path, name, model):
    """A config of this project at a tenth of the width; everything else as it is."""
    path = tmp_path / f'{name}.py'
    head = (
        ''
        if name.endswith('knn_in1k')
        else ', neck=dict(in_channels=128), head=dict(in_channels=128)'
    )
    path.write_text(
        f"_base_ = '{CONFIGS}/classification/{name}.py'\nmodel = "
        f'dict(backbone=dict(arch={ARCH[model]}){head})\n'
    )
    return path


def pretrained(tmp_path, model):
    """A checkpoint of pre-training with the same backbone, and random weights."""
    init_default_scope('mmpretrain')
    cfg = load_config(str(CONFIGS / 'selfsup' / f'um_mae_{model}.py'))
    cfg.model.backbone.arch = eval(ARCH[model].replace('_delete_=True, ', ''))
    cfg.model.neck.in_channels = 128
    torch.manual_seed(0)
    network = MODELS.build(cfg.model)
    network.init_weights()
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=network.state_dict(), meta={}), path)
    return path


@pytest.mark.parametrize('model', ['swin_l', 'vit_b'])
def test_knn_needs_no_training(model, folders, tmp_path):
    config = small_config(tmp_path, f'{NAMES[model]}_knn_in1k', model)
    output = output_of(
        'tools/test.py',
        config,
        pretrained(tmp_path, model),
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        f'data_root={folders}',
        'test_evaluator.topk=1',
        'model.k=5',
        'test_dataloader.num_workers=0',
        'test_cfg.bank_dataloader.num_workers=0',
    )
    # three colours are told apart even by random weights
    assert re.search(r'accuracy/top1: 100\.0', output)


@pytest.mark.parametrize(
    'model, kind', [('swin_t', 'finetune'), ('vit_b', 'finetune'), ('pvt_s', 'linear')]
)
def test_training_and_testing(model, kind, folders, tmp_path):
    config = small_config(tmp_path, f'{NAMES[model]}_{RECIPES[kind]}_in1k', model)
    options = [
        '--cfg-options',
        f'data_root={folders}',
        f'pretrained={pretrained(tmp_path, model)}',
        'num_classes=3',
        'val_evaluator.topk=1',
        'test_evaluator.topk=1',
        'train_dataloader.batch_size=8',
        'val_dataloader.batch_size=8',
        'train_dataloader.num_workers=0',
        'val_dataloader.num_workers=0',
        'test_dataloader.num_workers=0',
        'train_cfg.max_epochs=2',
        'default_hooks.logger.interval=1',
        'optim_wrapper.accumulative_counts=1',
    ]
    output = output_of('tools/train.py', config, '--work-dir', tmp_path / 'work', *options)
    losses = [float(loss) for loss in re.findall(r'Epoch\(train\).* loss: ([0-9.]+)', output)]
    assert len(losses) == 2 * 3 and all(np.isfinite(losses))
    assert re.search(r'UM\w+: from .*epoch_1.pth\n  loaded: \d\d', output)
    assert ('layer-wise learning-rate decay' in output) == (kind == 'finetune')
    checkpoint = tmp_path / 'work' / 'epoch_2.pth'
    before, after = (
        torch.load(p, weights_only=False)['state_dict']
        for p in (tmp_path / 'epoch_1.pth', checkpoint)
    )
    moved = [
        k
        for k in after
        if k in before and k.startswith('backbone.') and not torch.equal(before[k], after[k])
    ]
    assert bool(moved) == (kind == 'finetune')
    assert after['head.fc.weight'].shape == (3, 128)
    printed = re.findall(r'accuracy/top1: ([0-9.]+)', output)[-1]
    tested = output_of(
        'tools/test.py', config, checkpoint, '--work-dir', tmp_path / 'test', *options
    )
    assert re.search(rf'accuracy/top1: {printed}', tested)


def test_knn_watches_a_pretraining(folders, tmp_path):
    path = tmp_path / 'watched.py'
    path.write_text(
        f"_base_ = '{CONFIGS}/selfsup/um_mae_swin_t_knn.py'\n"
        f'model = dict(backbone=dict(arch={ARCH["swin_t"]}), '
        'neck=dict(in_channels=128, embed_dims=32, num_heads=2))\n'
    )
    output = output_of(
        'tools/train.py',
        path,
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        f'data_root={folders}/train',
        f'labelled_root={folders}',
        'train_dataloader.batch_size=8',
        'train_dataloader.num_workers=0',
        'train_cfg.max_epochs=2',
        'custom_hooks.3.interval=1',
        'custom_hooks.3.k=5',
        'custom_hooks.3.bank_dataloader.num_workers=0',
        'custom_hooks.3.dataloader.num_workers=0',
    )
    line = r'Epoch\(knn\) \[(\d)\]  knn/top1: ([0-9.]+)  \(12 images, bank of 24, k=5\)'
    lines = re.findall(line, output)
    assert [int(epoch) for epoch, _ in lines] == [1, 2]
    assert all(float(top1) > 60 for _, top1 in lines)
    assert 'knn/top1' in next((tmp_path / 'work').rglob('scalars.json')).read_text()


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(data_root='{tmp}/absent'), 'the image folder .*absent/train does not exist'),
        (dict(data_root='{tmp}/empty'), 'empty/train holds no class folders with images'),
        (
            dict(data_root='{data}'),
            r'train has 3 class folders \(blue, green, red\), and the model 1000 '
            r'classes.*num_classes=3',
        ),
    ],
)
def test_bad_input(options, sentence, folders, tmp_path):
    (tmp_path / 'empty' / 'train').mkdir(parents=True)
    options = {**options, 'data_root': options['data_root'].format(tmp=tmp_path, data=folders)}
    cfg = load_config(
        str(CONFIGS / 'classification' / 'um-swin-tiny_8xb128-coslr-100e_in1k.py'), options
    )
    with pytest.raises(InputError, match=sentence):
        preflight(cfg, ('train', 'val'))
        DATASETS.build(cfg.train_dataloader.dataset)
