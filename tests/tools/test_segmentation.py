"""Every tool on the mini set: UPerNet."""

import json
import pickle
import re
import shutil
from pathlib import Path

import cv2
import mmseg
import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import ROOT, call_tool, curve, free_port, output_of, run_tool

pytestmark = pytest.mark.slow

CONFIG = ROOT / 'configs' / 'segmentation' / 'upernet_um-swin-nano_mini.py'
NAMES = ['background', *'0123456789']
SMALL = [
    'model.backbone.arch.embed_dims=16',
    'model.backbone.arch.num_heads=[1,2,4,8]',
    'model.decode_head.in_channels=[16,32,64,128]',
    'model.auxiliary_head.in_channels=64',
    'default_hooks.logger.interval=1',
    'randomness.seed=0',
    *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')),
]


def train(data, work_dir, *arguments, options=()):
    return call_tool(
        'tools/train.py',
        CONFIG,
        '--work-dir',
        work_dir,
        *arguments,
        '--cfg-options',
        f'data_root={data}',
        *SMALL,
        *options,
    )


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """A checkpoint as pre-training of the same backbone writes it."""
    from mmum.models import UMSwin
    from tests.helpers import SMALL_ARCH

    backbone = UMSwin(SMALL_ARCH)
    path = tmp_path_factory.mktemp('pretrained') / 'epoch_1.pth'
    weights = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    torch.save(dict(state_dict=weights, meta={}), path)
    return path


@pytest.fixture(scope='module')
def trained(mini, pretrained, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('segmentation')
    code, output = train(
        mini, work_dir, '--iters', 4, '--tensorboard', options=[f'pretrained={pretrained}']
    )
    assert code == 0, output[-3000:]
    return work_dir, output


def test_training_reports_what_was_loaded_and_the_iou_of_every_class(trained, pretrained):
    work_dir, output = trained
    report = output[output.index(f'UMSwin: from {pretrained}') :]
    assert re.search(r'loaded: \d\d+ .*\n +resized: 0\n +new: 0\n', report)
    assert re.search(r'Iter\(val\) .*mIoU: [0-9.]+', output)
    assert all(re.search(rf'\| +{name} +\|', output) for name in NAMES)
    assert (work_dir / 'iter_4.pth').exists()
    assert list(work_dir.rglob('events.out*'))  # with pictures of the validation
    assert 'mmum test upernet_um-swin-nano_mini' in output


def test_training_resumes_to_the_bit(trained, mini, pretrained, tmp_path):
    options = [f'pretrained={pretrained}', 'default_hooks.checkpoint.interval=2']
    code, output = train(mini, tmp_path, '--iters', 4, options=options)
    assert code == 0, output[-3000:]
    for path in [*tmp_path.glob('best*'), *tmp_path.glob('iter_4*')]:
        path.unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_2.pth'))
    code, output = train(mini, tmp_path, '--iters', 4, '--resume', options=options)
    assert code == 0 and 'resumed epoch: 0, iter: 2' in output, output[-3000:]
    assert set(curve(tmp_path)) == {1, 2, 3, 4}  # repeated steps were the same
    whole, resumed = (
        torch.load(folder / 'iter_4.pth', weights_only=False)['state_dict']
        for folder in (trained[0], tmp_path)
    )
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def run_test(trained, mini, tmp_path, *arguments, options=()):
    return output_of(
        'tools/test.py',
        CONFIG,
        trained[0] / 'iter_4.pth',
        '--work-dir',
        tmp_path / 'work',
        *arguments,
        '--cfg-options',
        f'data_root={mini}',
        *SMALL,
        *options,
    )


def confusion(mini, predictions):
    """Rows of truth, columns of predictions."""
    matrix = np.zeros((11, 11), np.int64)
    for path, labels in predictions:
        truth = cv2.imread(str(mini / 'maps' / 'val' / f'{path.stem}.png'), cv2.IMREAD_UNCHANGED)
        assert labels.shape == truth.shape
        np.add.at(matrix, (truth.ravel(), labels.ravel()), 1)
    return matrix


@pytest.mark.parametrize(
    'arguments, options',
    [
        ([], []),
        (['--tta'], []),
        (
            [],
            [
                'model.test_cfg.mode=slide',
                'model.test_cfg.crop_size=(64,64)',
                'model.test_cfg.stride=(43,43)',
            ],
        ),
    ],
    ids=['whole', 'flips', 'slide'],
)
def test_iou_equals_a_confusion_matrix_by_hand(trained, mini, tmp_path, arguments, options):
    out = tmp_path / 'found.pkl'
    output = run_test(trained, mini, tmp_path, '--out', out, *arguments, options=options)
    found = pickle.loads(out.read_bytes())
    assert len(found) == 4
    matrix = confusion(mini, [(Path(one['img_path']), one['labels']) for one in found])
    assert matrix.sum() == 4 * 128 * 128 and (matrix.sum(0) > 0).sum() > 1
    hits = np.diag(matrix)
    with np.errstate(invalid='ignore'):
        iou = hits / (matrix.sum(0) + matrix.sum(1) - hits)
        accuracy = hits / matrix.sum(1)
    printed = {
        name: float(re.search(rf'\b{name}: ([0-9.]+)', output)[1])
        for name in ('aAcc', 'mIoU', 'mAcc')
    }
    assert printed == pytest.approx(
        dict(
            aAcc=100 * hits.sum() / matrix.sum(),
            mIoU=100 * np.nanmean(iou),
            mAcc=100 * np.nanmean(accuracy),
        ),
        abs=5.1e-3,
    )
    for name, value in zip(NAMES, iou):
        row = re.search(rf'\| +{name} +\| +([0-9.na]+) +\|', output)[1]
        assert float(row) == pytest.approx(100 * value, abs=5.1e-3, nan_ok=True)


def test_two_ranks(trained, mini, tmp_path):
    """They train (without a GPU, synchronised batch norm is ordinary), and find the same IoU."""
    options = ['--cfg-options', f'data_root={mini}', *SMALL]
    work = ['--work-dir', tmp_path / 'work']
    port = dict(PORT=free_port(), OMP_NUM_THREADS='1')
    run_tool('tools/dist_train.sh', CONFIG, 2, *work, '--iters', 2, *options, **port)
    assert (tmp_path / 'work' / 'iter_2.pth').exists()
    work = ['--work-dir', tmp_path / 'test']
    checkpoint = trained[0] / 'iter_4.pth'
    port['PORT'] = free_port()
    result = run_tool('tools/dist_test.sh', CONFIG, checkpoint, 2, *work, *options, **port)
    alone = run_test(trained, mini, tmp_path)
    for name in ('aAcc', 'mIoU', 'mAcc'):
        one, other = (re.search(rf'{name}: ([0-9.]+)', text)[1] for text in (result.stdout, alone))
        assert one == other


def test_flips_are_averaged_and_turned_back(trained, mini):
    """The prediction of an image and of its mirror image are mirror images of each other."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS, MODELS

    from mmum.engine.config import load_config
    from mmum.engine.config.testing import set_tta

    cfg = load_config(str(CONFIG), dict(data_root=str(mini)))
    set_tta(cfg)
    init_default_scope('mmseg')
    cfg.model.module.backbone.arch.update(embed_dims=16, num_heads=(1, 2, 4, 8))
    cfg.model.module.decode_head.in_channels = [16, 32, 64, 128]
    cfg.model.module.auxiliary_head.in_channels = 64
    model = MODELS.build(cfg.model).eval()
    weights = torch.load(trained[0] / 'iter_4.pth', weights_only=False)['state_dict']
    model.module.load_state_dict(weights)
    sample = DATASETS.build(cfg.test_dataloader.dataset)[0]
    flipped = [s.metainfo['flip'] for s in sample['data_samples']]
    assert flipped == [True, False]
    truths = [s.gt_sem_seg.data for s in sample['data_samples']]
    assert torch.equal(*truths)  # as in the file, whatever was done to the image
    mirrored = dict(sample, inputs=[sample['inputs'][1], sample['inputs'][0]])
    found = []
    for one in (sample, mirrored):
        batch = dict(
            inputs=[[image] for image in one['inputs']],
            data_samples=[[s.clone()] for s in one['data_samples']],
        )
        with torch.no_grad():
            found.append(model.test_step(batch)[0].pred_sem_seg.data)
    assert torch.equal(found[0], found[1].flip(-1)) and len(found[0].unique()) > 1


def test_pictures_of_all_images(trained, mini, tmp_path):
    run_test(trained, mini, tmp_path, '--show-dir', tmp_path / 'pictures')
    pictures = sorted((tmp_path / 'pictures').glob('*.jpg'))
    assert [path.stem for path in pictures] == [f'{i:06d}' for i in range(4)]
    assert all(cv2.imread(str(path)).shape == (128, 256, 3) for path in pictures)


def test_predict(trained, mini, tmp_path):
    shutil.copytree(mini / 'val', tmp_path / 'images')
    (tmp_path / 'images' / 'text.jpg').write_text('no image')
    found = tmp_path / 'found.pkl'
    run_test(trained, mini, tmp_path, '--out', found)
    output = output_of(
        'tools/predict.py',
        tmp_path / 'images',
        CONFIG,
        trained[0] / 'iter_4.pth',
        '--out',
        tmp_path / 'out',
        '--cfg-options',
        *SMALL[:6],
    )
    assert '4 images, most pixels are' in output and 'left out: ' in output
    assert len(list((tmp_path / 'out').glob('*.jpg'))) == 4
    names = json.loads((tmp_path / 'out' / 'classes.json').read_text())
    assert list(names.items()) == [(str(i), name) for i, name in enumerate(NAMES)]
    for one in pickle.loads(found.read_bytes()):  # the same as in a test
        name = one['img_path'].rpartition('/')[2].replace('.jpg', '.png')
        labels = cv2.imread(str(tmp_path / 'out' / 'labels' / name), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(labels, one['labels'])
    (tmp_path / 'images' / '000000.png').write_bytes(b'')
    code, output = call_tool(
        'tools/predict.py', tmp_path / 'images', CONFIG, trained[0] / 'iter_4.pth', '--cfg-options',
        *SMALL[:6],
    )  # fmt: skip
    assert code == 2 and 'would have one label map: rename one' in output


def test_browse(mini, tmp_path):
    output_of(
        'tools/browse_data.py', CONFIG, '--out', tmp_path, '--number', 2, '--cfg-options',
        f'data_root={mini}',
    )  # fmt: skip
    pictures = sorted(tmp_path.glob('*.png'))
    assert len(pictures) == 2 and cv2.imread(str(pictures[0])).shape[1] > 2 * 96


@pytest.fixture
def copy(mini, tmp_path):
    """The mini set, to be damaged."""
    shutil.copytree(mini, tmp_path / 'data')
    return tmp_path / 'data'


def damage(kind, data):
    maps = data / 'maps' / 'train'
    first = maps / '000000.png'
    if kind == 'absent':
        first.unlink()
    elif kind == 'folder':
        shutil.rmtree(maps)
    elif kind == 'size':
        Image.new('L', (64, 64)).save(first)
    elif kind == 'colour':
        Image.fromarray(np.random.RandomState(0).randint(0, 9, (128, 128, 3), np.uint8)).save(first)
    elif kind == 'deep':
        Image.fromarray(np.full((128, 128), 999, np.uint16)).save(first)
    elif kind == 'value':
        Image.new('L', (128, 128), 77).save(first)
    elif kind == 'white':
        for path in maps.glob('*.png'):
            Image.new('L', (128, 128), 255).save(path)


FAULTS = {
    'absent': '1 images of .*train have no label map in .*maps/train, first 000000.jpg',
    'folder': 'the folder .*maps/train does not exist',
    'size': r'000000.png is 64x64 px and its image .*000000.jpg 128x128',
    'colour': '000000.png is a picture in colour',
    'deep': '000000.png has labels from 999 to 999',
    'value': '000000.png has the label 77, and 0 to 10 are the 11 classes',
    'white': 'hold 0 and 255 alone, and 255 is ignored',
}


@pytest.mark.parametrize('kind', FAULTS)
def test_wrong_label_maps_end_a_training_before_it_begins(kind, copy, tmp_path):
    damage(kind, copy)
    code, output = train(copy, tmp_path / 'work', '--iters', 2)
    assert code == 2 and re.search(FAULTS[kind], output), output[-3000:]
    assert 'Iter(train)' not in output and 'Traceback' not in output


@pytest.mark.parametrize(
    'options, sentence',
    [
        (['num_classes=10'], r'model.decode_head.num_classes is 10, and the data set has 11'),
        (['model.auxiliary_head.num_classes=5'], 'model.auxiliary_head.num_classes is 5'),
        (
            ['train_dataloader.dataset.reduce_zero_label=True'],
            'set reduce_zero_label=False of the data set',
        ),
        (
            ["classes=('a','b','c')"],
            r'has the label \d.*0 to 2 are the 3 classes: name all classes',
        ),
    ],
)
def test_settings_that_do_not_fit(options, sentence, mini, tmp_path):
    code, output = train(mini, tmp_path, '--iters', 2, options=options)
    assert code == 2 and re.search(sentence, output), output[-3000:]
    assert 'Traceback' not in output


@pytest.mark.parametrize('kind', ['size', 'colour', 'deep', 'value'])
def test_check_data_finds_wrong_label_maps(kind, copy, tmp_path):
    command = ['tools/check_data.py', copy / 'train', '--maps', copy / 'maps' / 'train']
    command += ['--classes', 11, '--workers', 1]
    code, output = call_tool(*command)
    assert code == 0 and '8 label maps: 0 bad' in output and 'no problems found' in output
    assert re.search(r'label +0: +\d+\.\d+% of the pixels, in 8 maps', output)
    damage(kind, copy)
    code, output = call_tool(*command, '--out', tmp_path / 'report.json')
    assert code == 1 and re.search(FAULTS[kind], output)
    assert len(json.loads((tmp_path / 'report.json').read_text())['label_maps']['bad_maps']) == 1


def write_ade20k(root, mini):
    for split, name in (('training', 'train'), ('validation', 'val')):
        shutil.copytree(mini / name, root / 'images' / split)
        (root / 'annotations' / split).mkdir(parents=True)
        for path in (mini / 'maps' / name).glob('*.png'):
            labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            labels[0, 0] = 150
            cv2.imwrite(str(root / 'annotations' / split / path.name), labels)


@pytest.mark.parametrize('read', [[], ['--read']])
def test_prepare_data_checks_ade20k(read, mini, tmp_path):
    root = tmp_path / 'ADEChallengeData2016'
    write_ade20k(root, mini)
    command = ['tools/prepare_data.py', 'ade20k', root, *read]
    output = output_of(*command)
    assert 'training: 8 images, 8 with label maps (ADE20K has 20210 images' in output
    assert f'data_root={root}' in output
    (root / 'annotations' / 'training' / '000001.png').unlink()
    Image.new('L', (128, 128), 151).save(root / 'annotations' / 'validation' / '000000.png')
    code, output = call_tool(*command)
    assert code == 1 and 'no label maps of 1 images, first 000001.jpg' in output
    assert 'has the label 151, and 1 to 150 are the 150 classes' in output
    code, output = call_tool('tools/prepare_data.py', 'ade20k', tmp_path)
    assert code == 1 and f'no images: give {root}' in output


def test_zero_of_ade20k_must_be_reduced(mini, tmp_path):
    root = tmp_path / 'ADEChallengeData2016'
    write_ade20k(root, mini)
    code, output = call_tool(
        'tools/train.py',
        'upernet_um-swin-t_160k_ade20k-512x512',
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        f'data_root={root}',
        'train_dataloader.dataset.reduce_zero_label=False',
        'model.decode_head.channels=16',
    )
    assert code == 2 and 'set reduce_zero_label=True of the data set' in output, output[-2000:]


FOREIGN = """
_base_ = ['mmseg::_base_/models/upernet_swin.py', 'mmseg::_base_/default_runtime.py',
          'mmseg::_base_/schedules/schedule_20k.py']
custom_imports = dict(imports=['mmum'])
runner_type = 'FaultTolerantRunner'
data = dict(type='BaseSegDataset', data_root='{data}', metainfo=dict(classes={classes}))
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8)),
    decode_head=dict(in_channels=[16, 32, 64, 128], channels=16, num_classes=11),
    auxiliary_head=dict(in_channels=64, channels=16, num_classes=11))
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
pipeline = [*load, dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2, sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        **data, pipeline=pipeline, data_prefix=dict(img_path='train', seg_map_path='maps/train')))
val_dataloader = dict(
    batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **data, pipeline=pipeline, data_prefix=dict(img_path='val', seg_map_path='maps/val')))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric')
test_evaluator = val_evaluator
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2))
"""


def test_mmsegs_launcher_on_a_config_of_mmsegs_own(mini, tmp_path):
    """``mmseg::`` bases, strict loading, checkpoints that are atomic, and the checks before."""
    launcher = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'train.py'
    config = tmp_path / 'own.py'
    config.write_text(FOREIGN.format(data=mini, classes=tuple(NAMES)))
    command = [launcher, config, '--work-dir', tmp_path / 'work']
    result = run_tool(*command, cwd=tmp_path)
    for line in (
        'LoadAnnotations is replaced by LoadSegMapStrict',
        'BaseSegDataset is replaced by CheckedSegDataset',
        'CheckpointHook is replaced by AtomicCheckpointHook',
    ):
        assert line in result.stdout + result.stderr
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert 'mIoU: ' in log and (tmp_path / 'work' / 'iter_2.pth').exists()
    config.write_text(FOREIGN.format(data=mini, classes=tuple(NAMES[:10])))
    command[-1] = tmp_path / 'other'
    result = run_tool(*command, cwd=tmp_path, check=False)
    assert 'has the label 10, and 0 to 9 are the 10 classes' in result.stderr.splitlines()[-1]
