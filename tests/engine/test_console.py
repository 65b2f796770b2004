"""The console: progress, warnings and what mmum says; everything is in the log file."""

import json
import re

import pytest
from mmengine.config import ConfigDict

from mmum.engine.config.load import load_config
from mmum.engine.config.options import add_backend, set_epochs, set_iters
from mmum.engine.config.shipped import find_config
from mmum.errors import InputError
from tests.helpers import SMALL_DETECTOR, SMALL_PRETRAINING, run_tool

CONFIG = 'configs/selfsup/um_mae_swin_nano_mini.py'


@pytest.fixture(scope='module')
def trained(mini, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('console')
    options = [f'data_root={mini}/unlabelled', *SMALL_PRETRAINING]
    result = run_tool('tools/train.py', CONFIG, *options, '--tensorboard', '--work-dir', work_dir)
    return work_dir, result.stdout + result.stderr


@pytest.mark.slow
def test_a_line_per_interval_and_a_summary(trained):
    work_dir, said = trained
    progress = [line for line in said.splitlines() if 'Epoch(train)' in line]
    assert len(progress) == 8
    form = (
        r'Epoch\(train\) +\[\d\]\[\d/4\]  loss: [\d.]+  lr: \S+  [\d.]+ images/s  data: \d+%  '
        r'eta: \d:\d\d:\d\d'
    )
    assert all(re.search(form, line) for line in progress)
    assert len(said.splitlines()) < 40
    assert 'System environment' not in said and 'before and after calling' not in said
    (log,) = work_dir.glob('2*/2*.log')
    text = log.read_text()
    assert 'System environment' in text and 'Hooks will be executed' in text
    assert len(re.findall('than (the|painting removed units in the) mean colour', said)) == 2
    summary = said[said.index('training is complete') :]
    for name in ('epoch_2.pth', 'backbone.safetensors', 'reconstruction', 'scalars.json'):
        assert f'{work_dir}/' in summary and name in summary
    assert 'mmum train mask-rcnn_um-swin-nano_fpn_mini pretrained=' in summary


@pytest.mark.slow
def test_speed_and_pictures_go_everywhere(trained):
    work_dir, _ = trained
    (scalars,) = work_dir.glob('2*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    line = next(line for line in lines if 'images_per_s' in line)
    assert line['images_per_s'] == pytest.approx(4 / line['time'])
    assert 0 < line['own_colour'] < line['mean_colour'] < 2 and 0 < line['interpolation'] < 2
    assert line['data_share'] == pytest.approx(min(line['data_time'] / line['time'], 1))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = work_dir.glob('2*/vis_data/events*')
    accumulator = EventAccumulator(str(events)).Reload()
    assert {'loss', 'lr', 'images_per_s'} <= set(accumulator.Tags()['scalars'])
    (picture,) = accumulator.Images('reconstruction')
    assert (picture.width, picture.height) == (3 * 136, 4 * 136)


@pytest.mark.slow
def test_detections_go_everywhere(mini, tmp_path):
    """Pictures of the same validation images, at every validation."""
    config = 'configs/detection/mask-rcnn_um-swin-nano_fpn_mini.py'
    options = [f'data_root={mini}/', *SMALL_DETECTOR, 'val_dataloader.batch_size=2']
    run_tool('tools/train.py', config, *options, '--tensorboard', '--work-dir', tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = tmp_path.glob('2*/vis_data/events*')
    accumulator = EventAccumulator(str(events)).Reload()
    assert accumulator.Tags()['images'] == ['detections_0', 'detections_1']  # 4 images, 2 batches
    assert 'coco/segm_mAP' in accumulator.Tags()['scalars']


def test_backends_are_added_and_none_is_lost():
    cfg = load_config('mask-rcnn_um-swin-nano_fpn_mini')
    add_backend(cfg, 'TensorboardVisBackend')
    add_backend(cfg, 'TensorboardVisBackend')
    kinds = [backend.type for backend in cfg.visualizer.vis_backends]
    assert kinds == ['FaultTolerantLocalVisBackend', 'TensorboardVisBackend']
    assert [hook.type for hook in cfg.custom_hooks] == ['DetectionPicturesHook']


@pytest.mark.parametrize('epochs', [1, 2, 7, 400])
def test_epochs_stretch_the_schedule(epochs):
    """Warm-up 5 % as in the paper; the last step ends the cosine."""
    cfg = load_config('um_mae_swin_t')
    set_epochs(cfg, epochs)
    warm_up, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == cosine.end == epochs
    assert warm_up.end == cosine.begin == pytest.approx(epochs / 20)
    assert cosine.T_max == pytest.approx(epochs * 19 / 20)
    detector = load_config('mask-rcnn_um-swin-t_fpn_1x_coco')
    set_epochs(detector, 36)
    warm_up, steps = detector.param_scheduler
    assert warm_up.end == 1000 and steps.milestones == [24, 33]  # steps of a warm-up stay
    with pytest.raises(InputError, match='--epochs 3 is for configs that train by epochs'):
        set_epochs(ConfigDict(train_cfg=dict(max_iters=3)), 3)


@pytest.mark.parametrize('iters', [10, 300, 30000])
def test_iterations_stretch_the_schedule(iters):
    cfg = load_config('um_mae_swin_nano_nuclei')
    set_iters(cfg, iters)
    warm_up, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_iters == cosine.end == iters
    assert warm_up.end == cosine.begin == round(iters * 333 / 10_000)
    assert cosine.T_max == round(iters * 9667 / 10_000)
    detector = load_config('mask-rcnn_um-swin-nano_fpn_nuclei')
    set_iters(detector, iters)
    assert detector.train_cfg.val_interval == detector.train_cfg.max_iters == iters
    assert detector.default_hooks.checkpoint.interval == 250  # of a part: it stays
    detector = load_config('mask-rcnn_um-swin-nano_fpn_nuclei')
    detector.default_hooks.checkpoint.interval = detector.train_cfg.max_iters
    set_iters(detector, iters)
    assert detector.default_hooks.checkpoint.interval == iters
    with pytest.raises(InputError, match='--iters 3 is for configs that train by iters.*--epochs'):
        set_iters(load_config('um_mae_swin_t'), 3)
    with pytest.raises(InputError, match='--iters 0 should be at least 1'):
        set_iters(cfg, 0)


@pytest.mark.parametrize('name', ['um_mae_swin_t', 'selfsup/um_mae_swin_t', 'um_mae_swin_t.py'])
def test_configs_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name).endswith('configs/selfsup/um_mae_swin_t.py')
    assert find_config(CONFIG).endswith(CONFIG)  # the path of the README, outside a clone
    own = tmp_path / 'um_mae_swin_t'
    own.write_text('')
    if name == 'um_mae_swin_t':
        assert find_config(name) == name  # a file that is there comes first
    with pytest.raises(InputError, match='does not exist: did you mean um_mae_swin_t?'):
        find_config('detection/um_mae_swin_t.py')
