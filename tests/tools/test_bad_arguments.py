"""Every tool against what a user can get wrong: one sentence, no traceback, nothing half
written."""

import os
import re
import shutil

import pytest
import torch

from tests.helpers import ROOT, SMALL_ARCH, call_tool

pytestmark = pytest.mark.slow

PRETRAIN = ROOT / 'configs/selfsup/um_mae_swin_nano_mini.py'
DETECT = ROOT / 'configs/detection/mask-rcnn_um-swin-nano_fpn_mini.py'
# tool and arguments -> the sentence; {tmp} has text.pth, text.json, empty/, full/ and locked/ (not
# to be written to)
CASES = [
    ('train.py configs/none.py', r'the config configs/none.py does not exist'),
    ('train.py {tmp}/text.pth', r'text.pth cannot be read'),
    ('train.py {tmp}/broken.py', r'broken.py cannot be read .*line 1'),
    ('train.py {tmp}/empty.py', r'empty.py has no model'),
    (
        f'train.py {PRETRAIN} --work-dir {{tmp}}/w',
        r'the image folder data/mini/unlabelled/? does not exist',
    ),
    (
        f'train.py {PRETRAIN} --work-dir {{tmp}}/text.pth/run',
        r'work directory .* cannot be written',
    ),
    (
        f'train.py {PRETRAIN} --work-dir {{tmp}}/w --resume {{tmp}}/none.pth',
        r'none.pth does not exist',
    ),
    (
        f'train.py {PRETRAIN} --work-dir {{tmp}}/w --resume {{tmp}}/text.pth',
        r'text.pth is not a checkpoint',
    ),
    (
        f'train.py {PRETRAIN} --work-dir {{tmp}}/w --global-batch 100',
        r'--global-batch 100 is no multiple of',
    ),
    (
        f'train.py {PRETRAIN} --work-dir {{tmp}}/w --global-batch -64',
        r'--global-batch -64 is no multiple',
    ),
    (
        f'train.py {PRETRAIN} --work-dir {{tmp}}/w --cfg-options train_dataloader.0=3 '
        f'data_root={{tmp}}/full',
        r'holds no images|sets what is not there',
    ),
    (
        f'train.py {PRETRAIN} --work-dir {{tmp}}/w --cfg-options model.backbone.archh=tiny',
        r"sets what is not there: .*unexpected keyword argument 'archh'",
    ),
    (
        f'train.py {PRETRAIN} --work-dir {{tmp}}/w --cfg-options train_pipeline.99.type=X',
        r'--cfg-options .* does not fit',
    ),
    (
        f'train.py {DETECT} --work-dir {{tmp}}/w --cfg-options pretrained={{tmp}}/none.pth',
        r'none.pth does not exist',
    ),
    (
        f'train.py {DETECT} --work-dir {{tmp}}/w --cfg-options data_root={{tmp}}/empty',
        r'annotation file .*empty/annotations/train.json does not exist',
    ),
    (f'test.py {PRETRAIN} {{tmp}}/none.pth', r'none.pth does not exist'),
    (f'test.py {PRETRAIN} {{tmp}}/text.pth --out x.json', r'--out x.json should end in .pkl'),
    (f'test.py {PRETRAIN} {{tmp}}/weights.pth --show', r'--show is for detectors'),
    (f'test.py {PRETRAIN} {{tmp}}/weights.pth --tta', r'--tta is for detectors'),
    ('convert.py {tmp}/none.pth {tmp}/out.pth --to mmdet', r'none.pth does not exist'),
    ('convert.py {tmp}/text.pth {tmp}/out.pth --to mmdet', r'text.pth is not a checkpoint'),
    ('convert.py {tmp}/weights.pth {tmp}/out.pth --to mmdet', r'weights.pth'),
    ('prepare_data.py mini --out {tmp}/full', r'full exists and is not empty'),
    ('prepare_data.py mini --out {tmp}/text.pth', r'text.pth exists and is not empty'),
    ('prepare_data.py mini --out {tmp}/text.pth/mini', r'text.pth/mini.* cannot be written'),
    ('prepare_data.py mini --out {tmp}/out.pth --val 0', r'--val 0 should be at least 1'),
    ('prepare_data.py mini --out {tmp}/out.pth --seed -1', r'--seed -1 should not be negative'),
    ('prepare_data.py mini --out {tmp}/out.pth --size 8', r'--size 8 should be 32 to 1024'),
    (
        'prepare_data.py mini --out {tmp}/out.pth --size 100000',
        r'--size 100000 should be 32 to 1024',
    ),
    ('prepare_data.py shards {tmp}/none {tmp}/out', r'the folder .*none does not exist'),
    ('prepare_data.py shards {tmp}/empty {tmp}/out', r'empty holds no images'),
    ('prepare_data.py shards {tmp}/full {tmp}/full --size 0', r'--size 0 should be positive'),
    ('benchmark.py compare --batch 0', r'--batch 0 should be positive'),
    ('benchmark.py compare --image-size 100', r'--image-size 100 should be a multiple of 64'),
    ('benchmark.py compare --out x.txt', r'--out x.txt should end in .json'),
    ('benchmark.py data --model {tmp}/text.json', r'text.json is no result file'),
    ('benchmark.py scaling --ranks 0', r'--ranks 0 should be positive'),
    ('benchmark.py scaling --ranks 1000', r'--ranks 1000: '),
    ('benchmark.py predict --model {tmp}/none.json', r'none.json is no result file'),
    ('check_data.py {tmp}/none', r'none does not exist'),
    ('check_data.py {tmp}/empty', r'empty holds no images'),
    ('check_data.py {tmp}/text.json', r'text.json is not a COCO annotation file'),
    (
        'check_data.py {tmp}/text.json --out {tmp}/text.json',
        r'text.json would replace the annotation file',
    ),
    ('check_data.py {tmp}/empty --workers 0', r'--workers 0 should be at least 1'),
    ('check_data.py {tmp}/empty --images {tmp}/none', r'none does not exist'),
    ('soak.py --minutes 0', r'--minutes 0 should be at least 1'),
    ('soak.py --work-dir {tmp}/full', r'full exists and is not empty'),
    ('soak.py --out x.txt', r'--out x.txt should end in .json'),
    ('study.py transfer --seeds -1', r'--seeds -1 should be different numbers, none negative'),
    ('study.py transfer --jobs 0', r'--jobs 0 should be at least 1'),
    (
        'study.py starts --starts um_mae --longer 900',
        r'--longer 900 is for a start from scratch: add it to --starts',
    ),
    ('browse_data.py configs/none.py', r'the config configs/none.py does not exist'),
    (f'browse_data.py {PRETRAIN} --number 0', r'--number 0 should be at least 1'),
    (f'browse_data.py {PRETRAIN}', r'the image folder data/mini/unlabelled/? does not exist'),
    (
        f'browse_data.py {DETECT} --cfg-options data_root={{tmp}}/empty',
        r'annotations/train.json does not exist',
    ),
    ('demo.py --seeds -1', r'--seeds -1 should not be negative'),
]


@pytest.fixture
def places(tmp_path):
    (tmp_path / 'text.pth').write_text('no checkpoint')
    (tmp_path / 'text.json').write_text('[1, 2')
    (tmp_path / 'broken.py').write_text('model = dict(\n')
    torch.save(dict(state_dict={'a.b': torch.zeros(1)}), tmp_path / 'weights.pth')
    (tmp_path / 'empty.py').write_text('')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'file').write_text('')
    return tmp_path


@pytest.mark.parametrize('line, sentence', CASES, ids=[line for line, _ in CASES])
def test_one_sentence(line, sentence, places, monkeypatch):
    monkeypatch.chdir(places)
    before = {path for path in places.rglob('*')}
    code, output = call_tool(*('tools/' + line.format(tmp=places)).split())
    assert code == 2, output[-2000:]
    last = output.strip().splitlines()[-1]
    assert last.startswith('error: ') and re.search(sentence, last), last
    assert 'Traceback' not in output and len(last) < 600
    new = {path for path in places.rglob('*')} - before
    assert not [
        path for path in new if path.suffix in ('.pth', '.partial') and path.name != '.lock'
    ], new


@pytest.mark.parametrize('tool', sorted(path.name for path in (ROOT / 'tools').glob('*.py')))
@pytest.mark.parametrize('arguments', [['--no-such-option'], ['--work-dir'], ['a', 'b', 'c', 'd']])
def test_arguments_that_are_none(tool, arguments):
    """argparse's own sentence."""
    code, output = call_tool(f'tools/{tool}', *arguments)
    assert code == 2 and 'error: ' in output.splitlines()[-1] and 'Traceback' not in output


@pytest.mark.parametrize('tool', sorted(path.name for path in (ROOT / 'tools').glob('*.py')))
def test_help(tool):
    code, output = call_tool(f'tools/{tool}', '--help')
    assert code == 0 and 'usage: ' in output
    command = tool.removesuffix('.py').replace('_', '-')
    examples = (f'    python tools/{tool}', f'    mmum {command} ')
    assert any(line.startswith(examples) for line in output.splitlines())


@pytest.mark.parametrize(
    'line, place',
    [
        ('train.py {config} --iters 1', 'the work directory .*/runs/a: give another --work-dir'),
        ('browse_data.py {config} --out {images}/look', '.*/look: give another --out'),
    ],
)
def test_pictures_among_images(line, place, mini, tmp_path):
    """They would become images of the training, at the latest when it is resumed."""
    shutil.copytree(mini / 'unlabelled', tmp_path / 'images')
    config = ROOT / 'configs/selfsup/um_mae_swin_nano_nuclei.py'
    options = [f'data_root={tmp_path}/images']
    if line.startswith('train'):
        options += ['--work-dir', tmp_path / 'images' / 'runs' / 'a']
    words = line.format(config=config, images=tmp_path / 'images').split()
    code, output = call_tool(f'tools/{words[0]}', *words[1:], *options)
    last = output.strip().splitlines()[-1]
    sentence = 'error: pictures would become training images, because the image folder .*images '
    assert code == 2 and re.search(f'{sentence}contains {place}', last), output[-1500:]
    assert not list((tmp_path / 'images').rglob('*.png'))


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='no place that nobody may write to')
@pytest.mark.parametrize(
    'line',
    [
        'prepare_data.py mini --out /proc/mini --val 1 --train 1 --unlabelled 1',
        'benchmark.py compare --out /proc/x.json',
        'study.py transfer --out /proc/x/y.json',
        'soak.py --work-dir /proc/soak',
        f'train.py {PRETRAIN} --work-dir /proc/run',
        'convert.py {tmp}/swin.pth /proc/out.pth --to mmdet',
        'demo.py --out /proc/demo',
        f'browse_data.py {PRETRAIN} --out /proc/look --cfg-options data_root={{mini}}/unlabelled',
    ],
)
def test_a_place_where_nobody_may_write(line, places, mini, monkeypatch):
    from mmum.models import UMStockSwin

    monkeypatch.chdir(places)
    torch.save(UMStockSwin(SMALL_ARCH).state_dict(), places / 'swin.pth')
    code, output = call_tool(*('tools/' + line.format(tmp=places, mini=mini)).split())
    last = output.strip().splitlines()[-1]
    assert code == 2 and re.search(r'^error: .*/proc.* cannot be written', last), output[-1500:]
