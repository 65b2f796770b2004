"""tools/train.py and tools/test.py on a tiny mini set: Mask R-CNN."""

import contextlib
import io
import json
import re

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.helpers import ROOT, SMALL_DETECTOR, call_tool, output_of

pytestmark = pytest.mark.slow

CONFIG = ROOT / 'configs' / 'detection' / 'mask-rcnn_um-swin-nano_fpn_mini.py'
PRETRAIN = ROOT / 'configs' / 'selfsup' / 'um_mae_swin_nano_mini.py'


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """A checkpoint as pre-training of the same backbone writes it."""
    from mmengine.config import Config
    from mmpretrain.registry import MODELS

    cfg = Config.fromfile(PRETRAIN)
    cfg.merge_from_dict(
        {
            'model.backbone.arch.embed_dims': 16,
            'model.backbone.arch.num_heads': (1, 2, 4, 8),
            'model.neck.in_channels': 128,
        }
    )
    path = tmp_path_factory.mktemp('pretrained') / 'epoch_1.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta={}), path)
    return path


@pytest.fixture(scope='module')
def trained(mini, pretrained, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('detection')
    return work_dir, output_of(
        'tools/train.py',
        CONFIG,
        '--work-dir',
        work_dir,
        '--cfg-options',
        f'data_root={mini}',
        f'pretrained={pretrained}',
        *SMALL_DETECTOR,
    )


def test_training_reports_what_was_loaded(trained, pretrained):
    work_dir, output = trained
    assert (work_dir / 'epoch_1.pth').exists()
    report = output[output.index(f'UMSwin: from {pretrained}') :]
    assert re.search(
        r'loaded: \d\d+ .*\n +resized: 0\n +new: 6 \(norm0.*\n +unused: \d+ \(neck', report
    )
    assert 'coco/bbox_mAP' in output and 'coco/segm_mAP' in output


def test_from_scratch_says_so(mini, tmp_path):
    output = output_of(
        'tools/train.py',
        CONFIG,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        f'data_root={mini}',
        *SMALL_DETECTOR,
    )
    assert 'UMSwin: from scratch' in output


def run_test(trained, mini, tmp_path, *arguments, options=()):
    work_dir, _ = trained
    return output_of(
        'tools/test.py',
        CONFIG,
        work_dir / 'epoch_1.pth',
        '--work-dir',
        tmp_path / 'work',
        *arguments,
        '--cfg-options',
        f'data_root={mini}',
        *SMALL_DETECTOR,
        f'test_evaluator.outfile_prefix={tmp_path}/results',
        'model.test_cfg.rcnn.score_thr=0.001',
        *options,
    )


@pytest.mark.parametrize(
    'arguments, options',
    [([], []), (['--tta'], []), ([], ['model.test_cfg.rcnn.nms.type=soft_nms'])],
    ids=['plain', 'tta', 'soft'],
)
def test_ap_equals_pycocotools_by_hand(trained, mini, tmp_path, arguments, options):
    output = run_test(trained, mini, tmp_path, *arguments, options=options)
    coco = COCO(str(mini / 'annotations' / 'val.json'))
    for kind in ('bbox', 'segm'):
        found = json.loads((tmp_path / f'results.{kind}.json').read_text())
        assert found
        evaluation = COCOeval(coco, coco.loadRes(found), kind)
        # mmdet's limits: AP at 100 detections an image, the rest at up to 1000; at most 20 are made
        # here
        evaluation.params.maxDets = [100, 300, 1000]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        for name, value in zip(
            ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'), evaluation.stats
        ):
            printed = float(re.search(rf'coco/{kind}_{name}: (-?[0-9.]+)', output)[1])
            assert printed == pytest.approx(value, abs=5.1e-4), (kind, name)


def test_the_order_of_categories_in_a_file_changes_nothing(trained, mini, tmp_path):
    """Neither AP, nor the names that testing and predicting give to detections."""
    content = json.loads((mini / 'annotations' / 'val.json').read_text())
    content['categories'].reverse()
    for annotation in content['annotations']:
        annotation['id'] -= 1  # from 0
    (tmp_path / 'other.json').write_text(json.dumps(content))
    other = [
        f'test_dataloader.dataset.ann_file={tmp_path}/other.json',
        f'test_evaluator.ann_file={tmp_path}/other.json',
    ]
    lines, results = [], []
    for number, options in enumerate(([], other)):
        (tmp_path / str(number)).mkdir()
        output = run_test(trained, mini, tmp_path / str(number), options=options)
        lines.append(re.findall(r'coco/\w+: [0-9.-]+', output))
        found = json.loads((tmp_path / str(number) / 'results.segm.json').read_text())
        results.append([(one['image_id'], one['category_id'], one['score']) for one in found])
    assert lines[0] == lines[1] and lines[0] and results[0] == results[1]
    output_of(
        'tools/predict.py',
        mini / 'val',
        CONFIG,
        trained[0] / 'epoch_1.pth',
        '--annotations',
        tmp_path / 'other.json',
        '--out',
        tmp_path / 'predicted',
        '--cfg-options',
        f'data_root={mini}',
        *SMALL_DETECTOR,
        'model.test_cfg.rcnn.score_thr=0.001',
    )
    predicted = json.loads((tmp_path / 'predicted' / 'results.json').read_text())
    by_name = sorted((one['image_id'], one['category_id']) for one in predicted)
    assert by_name == sorted((image, category) for image, category, _ in results[0])


def test_images_without_annotations_are_only_written(trained, mini, tmp_path):
    """As COCO's test images: a file for the server that evaluates them."""
    content = json.loads((mini / 'annotations' / 'val.json').read_text())
    del content['annotations']
    (tmp_path / 'test.json').write_text(json.dumps(content))
    run_test(
        trained,
        mini,
        tmp_path,
        options=[
            'test_evaluator.format_only=True',
            f'test_evaluator.ann_file={tmp_path}/test.json',
            f'test_dataloader.dataset.ann_file={tmp_path}/test.json',
        ],
    )
    assert json.loads((tmp_path / 'results.segm.json').read_text())


def test_pictures_and_predictions(trained, mini, tmp_path):
    import pickle

    run_test(
        trained, mini, tmp_path, '--show-dir', tmp_path / 'pictures', '--out', tmp_path / 'out.pkl'
    )
    assert len(list((tmp_path / 'pictures').rglob('*.jpg'))) == 4
    assert (tmp_path / 'pictures' / '000000.jpg').exists()  # there, and not nested
    predictions = pickle.loads((tmp_path / 'out.pkl').read_bytes())
    assert len(predictions) == 4 and 'masks' in predictions[0]['pred_instances']


def test_a_pretraining_checkpoint_is_not_tested_as_a_detector(pretrained, mini, tmp_path):
    code, output = call_tool(
        'tools/test.py',
        CONFIG,
        pretrained,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        f'data_root={mini}',
        *SMALL_DETECTOR,
    )
    assert code == 2 and re.search(
        r'error: .*epoch_1.pth lacks \d+ parameters of the model', output
    )


BAD = {
    'no checkpoint': ('pretrained={tmp}/text.pth', 'text.pth is not a checkpoint'),
    'absent checkpoint': ('pretrained={tmp}/absent.pth', 'absent.pth does not exist'),
    'nothing matches': ('pretrained={tmp}/other.pth', 'nothing in .*other.pth matches UMSwin'),
    'missing root': ('data_root={tmp}/absent', 'absent/ does not exist'),
    'absent images': (
        'train_dataloader.dataset.ann_file={tmp}/absent.json',
        r'names 1 files that are not in .*first no\.jpg',
    ),
    'no annotations': (
        'train_dataloader.dataset.ann_file={tmp}/text.pth',
        'text.pth is not a COCO annotation file',
    ),
    'empty annotations': (
        'train_dataloader.dataset.ann_file={tmp}/empty.json',
        'empty.json lists no images',
    ),
    'images alone': (
        'train_dataloader.dataset.ann_file={tmp}/nothing.json',
        'nothing.json lists no annotations',
    ),
    'classes': (
        'train_dataloader.dataset.metainfo.classes=[cat,dog]',
        'class cat, dog of the config',
    ),
    'heads': (
        'num_classes=80',
        'num_classes is 80, and the data set has 10 classes .*: pass --cfg-options num_classes=10',
    ),
    'schedule': ('param_scheduler.1.end=0', r'param_scheduler cannot be as it is \(end should be'),
    'arch': ('model.backbone.arch=huge', "unknown arch 'huge'"),
    'cut image': (
        'train_dataloader.dataset.data_prefix.img={tmp}/cut',
        r'2 of 8 images cannot be read, 2 of them in .*/cut .*bad_images.txt',
    ),
    'unknown category': (
        'train_dataloader.dataset.ann_file={tmp}/category.json',
        r'1 x annotation of an unknown category \(id 1\)',
    ),
    'load_from': ('load_from={tmp}/other.pth', 'nothing in the checkpoint .*other.pth matches'),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_gets_one_sentence(case, mini, tmp_path):
    option, sentence = BAD[case]
    (tmp_path / 'text.pth').write_text('no checkpoint')
    torch.save(dict(state_dict={'a.b': torch.zeros(1)}), tmp_path / 'other.pth')
    annotations = json.loads((mini / 'annotations' / 'train.json').read_text())
    (tmp_path / 'empty.json').write_text(
        json.dumps({**annotations, 'images': [], 'annotations': []})
    )
    (tmp_path / 'nothing.json').write_text(json.dumps({**annotations, 'annotations': []}))
    annotations['images'][3]['file_name'] = 'no.jpg'
    (tmp_path / 'absent.json').write_text(json.dumps(annotations))
    annotations = json.loads((mini / 'annotations' / 'train.json').read_text())
    annotations['annotations'][0]['category_id'] = 99
    (tmp_path / 'category.json').write_text(json.dumps(annotations))
    (tmp_path / 'cut').mkdir()
    for path in (mini / 'train').glob('*.jpg'):
        (tmp_path / 'cut' / path.name).write_bytes(path.read_bytes()[:2000])
    small = [option for option in SMALL_DETECTOR if not (case == 'arch' and 'arch' in option)]
    root = [] if option.startswith('data_root') else [f'data_root={mini}']
    code, output = call_tool(
        'tools/train.py',
        CONFIG,
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        *root,
        *small,
        option.format(tmp=tmp_path),
    )
    assert code == 2, output[-2000:]
    last = output.strip().splitlines()[-1]
    assert last.startswith('error: ') and re.search(sentence, last), last
    assert 'Traceback' not in output


def test_stuff_maps_that_are_missing(mini, tmp_path):
    code, output = call_tool(
        'tools/train.py',
        ROOT / 'configs' / 'detection' / 'htc_um-swin-t_fpn_3x_coco.py',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        f'data_root={mini}',
        'num_classes=10',
        'train_dataloader.dataset.ann_file=annotations/train.json',
        'train_dataloader.dataset.data_prefix.img=train',
    )
    assert code == 2
    assert re.search(
        r'error: 8 stuff maps are not in .*stuffthingmaps/train2017, first 000000.png, .* '
        r'without-semantic',
        output,
    )


def test_boxes_that_training_leaves_out_are_named(mini, tmp_path):
    """Outside the image, without area, crowds: said before the first iteration, and no reason to
    stop."""
    from mmum.engine.config import load_config
    from mmum.engine.preflight import preflight

    annotations = json.loads((mini / 'annotations' / 'train.json').read_text())
    boxes = annotations['annotations']
    boxes[0]['bbox'], boxes[1]['bbox'], boxes[2]['iscrowd'] = [200, 10, 5, 5], [10, 10, 0, 5], 1
    (tmp_path / 'boxes.json').write_text(json.dumps(annotations))
    cfg = load_config(str(CONFIG), dict(data_root=f'{mini}/'))
    cfg.train_dataloader.dataset.ann_file = str(tmp_path / 'boxes.json')
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmum.datasets.coco.report.print_log', lambda text, *args: said.append(text))
        preflight(cfg, splits=('train',))
    assert any('1 x box outside its image (id 1), left out of training' in text for text in said)
    assert any(
        '1 x box without area (id 2), left out of training and evaluation' in text for text in said
    )


def test_classes_set_data_sets_and_heads():
    from mmum.engine.config import load_config

    cfg = load_config('htc_um-swin-t_fpn_3x_coco', dict(classes=['crack', 'dent']))
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert cfg[key].dataset.metainfo.classes == ('crack', 'dent')
    heads = [*cfg.model.roi_head.bbox_head, *cfg.model.roi_head.mask_head]
    assert [head.num_classes for head in heads] == [2] * 6
    assert cfg.model.roi_head.semantic_head.num_classes == 183
    one = load_config('gfl_um-swin-t_fpn_25e_coco', dict(classes='crack'))
    assert one.train_dataloader.dataset.metainfo.classes == ('crack',)
    assert one.model.bbox_head.num_classes == 1
