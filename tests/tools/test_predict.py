"""tools/predict.py on an image, a folder and a video."""

import contextlib
import io
import json
import re
import shutil

import cv2
import pytest
import torch
from pycocotools.coco import COCO

from tests.checkpoints.classifiers import authors_file, write
from tests.helpers import ROOT, call_tool

pytestmark = pytest.mark.slow

CONFIG = ROOT / 'configs' / 'detection' / 'mask-rcnn_um-swin-nano_fpn_mini.py'
OPTIONS = [
    '--cfg-options',
    'model.test_cfg.rcnn.score_thr=0.001',
    'model.test_cfg.rcnn.max_per_img=5',
]


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    from mmum.engine.config import load_config

    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(load_config(str(CONFIG)).model)
    model.init_weights()
    path = tmp_path_factory.mktemp('checkpoint') / 'epoch_1.pth'
    torch.save(
        dict(
            state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=tuple('0123456789')))
        ),
        path,
    )
    return path


@pytest.fixture(scope='module')
def sources(mini, tmp_path_factory):
    folder = tmp_path_factory.mktemp('sources')
    shutil.copytree(mini / 'val', folder / 'images' / 'deep')
    video = cv2.VideoWriter(
        str(folder / 'video.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (128, 128)
    )
    for path in sorted((mini / 'val').glob('*.jpg'))[:3]:
        video.write(cv2.imread(str(path)))
    video.release()
    return folder


@pytest.mark.parametrize(
    'source, number', [('images', 4), ('images/deep/000001.jpg', 1), ('video.avi', 3)]
)
def test_pictures_and_results(source, number, checkpoint, sources, tmp_path):
    code, output = call_tool(
        'tools/predict.py',
        sources / source,
        CONFIG,
        checkpoint,
        '--out',
        tmp_path,
        '--score',
        0,
        *OPTIONS,
    )
    assert code == 0, output[-2000:]
    pictures = list(tmp_path.rglob('*.jpg'))
    assert len(pictures) == number and all(
        cv2.imread(str(path)).shape == (128, 128, 3) for path in pictures
    )
    with contextlib.redirect_stdout(io.StringIO()):  # COCO's own reader takes them
        found = COCO(str(tmp_path / 'images.json')).loadRes(str(tmp_path / 'results.json'))
    assert len(found.imgs) == number and f'{number} images, {len(found.anns)} detections' in output
    assert all(
        'segmentation' in one and one['category_id'] in range(1, 11) for one in found.anns.values()
    )


def test_a_bad_image_among_good_ones_is_left_out(checkpoint, mini, tmp_path):
    shutil.copytree(mini / 'val', tmp_path / 'images')
    (tmp_path / 'images' / '000002.jpg').write_text('no image')
    code, output = call_tool(
        'tools/predict.py',
        tmp_path / 'images',
        CONFIG,
        checkpoint,
        '--out',
        tmp_path / 'out',
        *OPTIONS,
    )
    assert (
        code == 0
        and '3 images, ' in output
        and re.search(r'left out: .*000002.jpg cannot be read', output)
    ), output[-1000:]
    assert len(json.loads((tmp_path / 'out' / 'images.json').read_text())['images']) == 3


def test_no_image_is_lost(checkpoint, mini, tmp_path):
    """Neither to a picture in its place, nor to the picture of another; again and again."""
    images = tmp_path / 'images'
    shutil.copytree(mini / 'val', images)
    shutil.copy(images / '000001.jpg', images / '000001.jpeg')
    before = {path: path.read_bytes() for path in images.iterdir()}

    def predict(source, out):
        return call_tool('tools/predict.py', source, CONFIG, checkpoint, '--out', out, *OPTIONS)

    for source, out in (
        (images, images),
        (images / '000001.jpg', images),
        (tmp_path, images),
    ):
        code, output = predict(source, out)
        assert code == 2 and re.search('error: --out .* replace', output), output[-1000:]
    for _ in range(2):  # a folder within: the second run does not take the pictures of the first
        code, output = predict(images, images / 'found')
        assert code == 0 and '5 images, ' in output, output[-1000:]
    assert '5 images in ' in output and 'are left out: they are pictures of an earlier' in output
    pictures = {path.name for path in (images / 'found').glob('*.jpg')}
    assert {'000001.jpg.jpg', '000001.jpeg.jpg', '000002.jpg'} < pictures and len(pictures) == 5
    assert {path: path.read_bytes() for path in images.iterdir() if path.is_file()} == before


def test_ids_of_annotations(checkpoint, mini, tmp_path):
    from pycocotools.cocoeval import COCOeval

    annotations = mini / 'annotations' / 'val.json'
    code, output = call_tool(
        'tools/predict.py',
        mini / 'val',
        CONFIG,
        checkpoint,
        '--out',
        tmp_path,
        '--annotations',
        annotations,
        *OPTIONS,
    )
    assert code == 0, output[-2000:]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        COCOeval(truth, truth.loadRes(str(tmp_path / 'results.json')), 'segm').evaluate()
    results = json.loads((tmp_path / 'results.json').read_text())
    assert {one['image_id'] for one in results} <= set(truth.imgs)


@pytest.mark.parametrize('meta', [None, dict(CLASSES=tuple('ABCDEFGHIJ'))])
def test_classes_are_those_of_the_checkpoint_or_else_of_the_config(
    meta, checkpoint, sources, tmp_path
):
    """mmdet takes the names of COCO where a file has none."""
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    torch.save(dict(state_dict=weights, **({'meta': meta} if meta else {})), tmp_path / 'its.pth')
    image = sources / 'images' / 'deep' / '000001.jpg'
    code, output = call_tool(
        'tools/predict.py', image, CONFIG, tmp_path / 'its.pth', '--out', tmp_path, *OPTIONS
    )
    assert code == 0, output[-2000:]
    categories = json.loads((tmp_path / 'images.json').read_text())['categories']
    named = list(meta['CLASSES'] if meta else '0123456789')
    assert [one['name'] for one in categories] == named


def test_test_data_may_be_wrapped(checkpoint, sources, tmp_path):
    wrapped = """
_base_ = {config!r}
part = _base_.test_dataloader.dataset
whole = dict(_delete_=True, type='ConcatDataset', datasets=[part, part])
test_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=2, dataset=whole))
"""
    (tmp_path / 'wrapped.py').write_text(wrapped.format(config=str(CONFIG)))
    image, found = sources / 'images' / 'deep' / '000001.jpg', []
    for config in (CONFIG, tmp_path / 'wrapped.py'):
        code, output = call_tool(
            'tools/predict.py', image, config, checkpoint, '--out', tmp_path, *OPTIONS
        )
        assert code == 0, output[-2000:]
        found.append((tmp_path / 'results.json').read_text())
        (tmp_path / 'results.json').unlink()
    assert found[0] == found[1] and len(json.loads(found[0])) == 5


def test_weights_that_are_not_those_of_the_detector(checkpoint, mini, tmp_path):
    """A detector with random weights would detect, too."""
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    backbone = {name: value for name, value in weights.items() if name.startswith('backbone.')}
    torch.save(dict(state_dict=backbone), tmp_path / 'backbone.pth')
    theirs = write(tmp_path / 'theirs.pth', authors_file('swin'))  # in the authors' names
    for file, options, sentence in (
        (tmp_path / 'backbone.pth', [], 'lacks .* parameters of the model of the config'),
        (checkpoint, ['num_classes=3'], 'is of another size than the model of the config'),
        (theirs, [], 'fine-tuned classifier. lacks .* give a checkpoint that was trained with'),
    ):
        code, output = call_tool(
            'tools/predict.py',
            mini / 'val',
            CONFIG,
            file,
            '--out',
            tmp_path / 'out',
            '--cfg-options',
            *options,
            'model.test_cfg.rcnn.max_per_img=5',
        )
        last = output.strip().splitlines()[-1]
        assert code == 2 and re.search(f'^error: .*{sentence}', last), output[-1500:]
        assert not list((tmp_path / 'out').glob('*'))


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['{tmp}/none.jpg', CONFIG, '{pth}'], 'none.jpg does not exist'),
        (['{tmp}', CONFIG, '{pth}'], 'holds no images'),
        (['{tmp}/text.jpg', CONFIG, '{pth}'], 'text.jpg cannot be read as an image'),
        (['{tmp}/text.mp4', CONFIG, '{pth}'], 'text.mp4 cannot be read as a video'),
        (['{mini}', CONFIG, '{tmp}/none.pth'], 'none.pth does not exist'),
        (['{mini}', CONFIG, '{pth}', '--score', '2'], '--score 2.0 should lie between 0 and 1'),
        (
            ['{mini}', CONFIG, '{pth}', '--annotations', '{tmp}/none.json'],
            'none.json is not a COCO annotation file',
        ),
        (
            ['{mini}', ROOT / 'configs' / 'selfsup' / 'um_mae_swin_nano_mini.py', '{pth}'],
            'is no config of a detector',
        ),
    ],
)
def test_one_sentence(arguments, sentence, checkpoint, mini, tmp_path):
    places = dict(tmp=tmp_path / 'places', pth=checkpoint, mini=mini / 'val')
    places['tmp'].mkdir()
    if '{tmp}' not in arguments:
        (places['tmp'] / 'text.jpg').write_text('no image')
        (places['tmp'] / 'text.mp4').write_text('no video')
    code, output = call_tool(
        'tools/predict.py',
        *(str(one).format(**places) for one in arguments),
        '--out',
        tmp_path / 'out',
    )
    last = output.strip().splitlines()[-1]
    assert code == 2 and last.startswith('error: ') and sentence in last, output[-1500:]
    assert not list((tmp_path / 'out').glob('*'))
