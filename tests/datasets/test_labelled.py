"""Class folders: one numbering for all splits, one listing."""

import cv2
import numpy as np
import pytest

from mmum.datasets import LabelledImages
from mmum.engine import load_config
from mmum.engine.config import classes
from mmum.engine.config.classes import agree_on_classes
from mmum.errors import InputError


def write(folder, *names):
    """A small image in every class folder."""
    for i, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / 'a.png'), np.full((32, 32, 3), 80 * i, np.uint8))


@pytest.fixture
def root(tmp_path):
    """Three classes to train on; the validation images lack one, and an editor left a folder."""
    write(tmp_path / 'train', 'crack', 'dent', 'ok')
    write(tmp_path / 'val', 'crack', 'ok')
    (tmp_path / 'train' / '.ipynb_checkpoints').mkdir()
    return tmp_path


def labels(dataset):
    return {info['img_path'].split('/')[-2]: info['gt_label'] for info in dataset.load_data_list()}


def test_numbers_are_those_of_the_training_images(root):
    train = LabelledImages(str(root), data_prefix='train')
    assert labels(train) == dict(crack=0, dent=1, ok=2)
    val = LabelledImages(str(root), data_prefix='val', numbering=str(root / 'train'))
    assert labels(val) == dict(crack=0, ok=2)
    assert val.metainfo['classes'] == train.metainfo['classes'] == ('crack', 'dent', 'ok')


def test_an_unknown_class_is_named(root):
    write(root / 'val', 'dint')
    with pytest.raises(
        InputError, match=r'val has the class folders dint, which are not among .*tr'
    ):
        LabelledImages(str(root), data_prefix='val', numbering=str(root / 'train'))
    named = dict(metainfo=dict(classes=('crack', 'ok')))
    with pytest.raises(InputError, match='class folders dint, which are not among the classes of'):
        LabelledImages(str(root), data_prefix='val', **named)


def test_links_and_suffixes_as_everywhere(root):
    (root / 'train' / 'scratch').symlink_to(root / 'val' / 'ok')
    cv2.imwrite(str(root / 'val' / 'ok' / 'b.webp'), np.zeros((32, 32, 3), np.uint8))
    (root / 'val' / 'ok' / '._a.png').write_bytes(b'x')
    (root / 'val' / 'ok' / 'deep').mkdir()
    cv2.imwrite(str(root / 'val' / 'ok' / 'deep' / 'c.jpg'), np.zeros((32, 32, 3), np.uint8))
    dataset = LabelledImages(str(root), data_prefix='train')
    assert labels(dataset)['scratch'] == 3
    names = [info['img_path'].split('/scratch/')[-1] for info in dataset.load_data_list()[-3:]]
    assert names == ['a.png', 'b.webp', 'deep/c.jpg']


@pytest.mark.parametrize('name', ['um-swin-tiny_8xb128-coslr-100e_in1k', 'um-swin-tiny_knn_in1k'])
def test_every_run_agrees_on_classes(name, root):
    """Fine-tuning by its training images, k-NN by its bank."""
    cfg = load_config(name, dict(data_root=str(root)))
    agree_on_classes(cfg)
    assert cfg.test_dataloader.dataset.numbering == str(root / 'train')
    cfg = load_config('um_mae_swin_t_knn', dict(labelled_root=str(root)))
    agree_on_classes(cfg)
    (hook,) = (hook for hook in cfg.custom_hooks if hook.type == 'KNNHook')
    assert hook.dataloader.dataset.numbering == str(root / 'train')


@pytest.mark.parametrize(
    'number, fitting', [(2, (1,)), (3, (1,)), (5, (1,)), (6, (1, 5)), (1000, (1, 5))]
)
def test_top_k_fits_the_number_of_classes(number, fitting, monkeypatch):
    """Top-5 of five classes is always right, and of two it would end the test with a traceback."""
    said = []
    monkeypatch.setattr(classes, 'print_log', lambda text, *_: said.append(text))
    cfg = load_config('um-swin-tiny_8xb128-coslr-100e_in1k', dict(num_classes=number))
    agree_on_classes(cfg)
    assert tuple(cfg.val_evaluator.topk) == tuple(cfg.test_evaluator.topk) == fitting
    assert bool(said) == (fitting == (1,))


def test_top_k_of_neighbours_follows_the_folders(root):
    cfg = load_config('um-swin-tiny_knn_in1k', dict(data_root=str(root)))
    agree_on_classes(cfg)
    assert tuple(cfg.test_evaluator.topk) == (1,)
