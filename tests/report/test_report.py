"""mmum report: what it reads, and the page in a browser."""

import json
import re
import shutil
import subprocess
from datetime import datetime

import cv2
import numpy as np
import pytest

from mmum.errors import InputError
from mmum.report.charts import MAX_POINTS, line_chart, thin, ticks
from mmum.report.page import write_page
from mmum.report.runs import name_runs
from tests.helpers import ROOT, call_tool, run_tool

CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
CONFIG = """
model = dict(type='UMMAE', head=dict(norm_pix={norm}))
randomness = dict(seed={seed})
train_dataloader = dict(dataset=dict(bad_images='{folder}/bad_images.txt'))
pretrained = '{start}'
work_dir = '{folder}'
"""


def write_run(
    folder, seed=0, norm=True, scores=(0.1, 0.2), starts=('20260101_100000',), start=None
):
    """A work directory as a training leaves it."""
    for number, time in enumerate(starts):
        logs = folder / time / 'vis_data'
        (logs / 'vis_image').mkdir(parents=True)
        lines = []
        for step in range(1 + 10 * number, 31):
            lines.append(
                dict(
                    step=step,
                    lr=1e-3,
                    loss=1 / step + 0.01 * seed,
                    mean_colour=0.4,
                    grad_norm=1.0,
                    images_per_s=50.0,
                    data_share=0.1,
                    memory=2048,
                )
            )
        lines += [
            {'step': 15 * (i + 1), 'coco/segm_mAP': score, 'time': 1.0}
            for i, score in enumerate(scores)
        ]
        text = ''.join(json.dumps(line) + '\n' for line in lines)
        (logs / 'scalars.json').write_text(text + '{"step": 31, "lo')
        (folder / time / f'{time}.log').write_text(
            '2026/01/01 10:00:09 - mmengine - INFO - resumed epoch: 0, iter: 10\n'
            '2026/01/01 10:01:00 - mmengine - WARNING - loss is not finite <b>: left out\n'
            '2026/01/01 10:01:01 - mmengine - WARNING - The prefix is not set in metric\n'
            '2026/01/01 10:02:00 - mmengine - INFO - training is complete\n'
        )
        for image in range(2):
            picture = np.zeros((20, 60, 3), np.uint8)
            picture[:, 30:] = 255
            cv2.imwrite(str(logs / 'vis_image' / f'detections_{image}_30.png'), picture)
    (folder / 'reconstruction').mkdir()
    for epoch in (9, 10, 100):
        picture = np.full((30, 90, 3), epoch, np.uint8)
        cv2.imwrite(str(folder / 'reconstruction' / f'epoch_{epoch}.png'), picture)
    (folder / 'c.py').write_text(CONFIG.format(norm=norm, seed=seed, folder=folder, start=start))
    (folder / 'bad_images.txt').write_text('x.jpg\tcannot be read\n')
    return folder


def test_what_is_read(tmp_path):
    (run,) = name_runs([write_run(tmp_path / 'a', starts=('20260101_100000', '20260101_110000'))])
    curve = run.curve('loss')
    assert [step for step, _ in curve] == list(range(1, 31))  # each step once, no cut line
    assert run.curve('coco/segm_mAP') == [(15, 0.1), (30, 0.2)]
    assert run.metrics == {'coco/segm_mAP': 0.2}
    assert [name for name, _ in run.reconstructions] == ['epoch 9', 'epoch 10', 'epoch 100']
    assert sorted(run.predictions) == ['0', '1'] and run.bad_images == ['x.jpg\tcannot be read']
    texts = [text for _, text in run.events]
    assert texts.count('started') == 2 and 'resumed epoch: 0, iter: 10' in texts
    assert not any('prefix' in text for text in texts)
    assert run.events[0] == (datetime(2026, 1, 1, 10), 'started')
    assert run.config['model.head.norm_pix'] == 'True' and 'work_dir' not in run.config


def test_settings_that_differ_and_intervals_over_seeds(tmp_path):
    runs = name_runs(
        [
            str(write_run(tmp_path / 'a', 0)),
            str(write_run(tmp_path / 'b', 1, scores=(0.1, 0.4))),
            str(write_run(tmp_path / 'c', 0, norm=False)),
        ]
    )
    page = write_page(runs)
    rows = re.findall(r'<tr><td><code>(.*?)</code></td>', page)
    assert rows == ['model.head.norm_pix', 'randomness.seed']
    assert 'mean of 2 seeds' in page and '0.3 (0.2 to 0.4)' in page
    assert 'mean of 3 seeds' not in page
    assert 'loss is not finite &lt;b&gt;' in page and 'x.jpg' in page
    # rows of truth and of three predictions
    assert page.count('alt="truth"') == 2 and page.count('<figcaption>truth') == 2


@pytest.mark.parametrize(
    'starts, means',
    [
        (('um_mae.pth', 'um_mae.pth'), 1),
        (('um_mae_seed0.pth', 'um_mae_seed1.pth'), 1),  # a pre-training for every seed
        (('um_mae.pth', 'simmim.pth'), 0),
        (('um_mae.pth', None), 0),
        # two pre-trainings, each under all seeds
        (('steps_100.pth', 'steps_100.pth', 'steps_900.pth', 'steps_900.pth'), 2),
        (('um_mae.pth', 'um_mae.pth', 'um_mae.pth', 'um_mae.pth'), 0),  # a seed was run again
    ],
)
def test_a_mean_is_of_seeds_not_of_starts(starts, means, tmp_path):
    folders = [write_run(tmp_path / str(i), i % 2, start=s) for i, s in enumerate(starts)]
    page = write_page(name_runs(list(map(str, folders))))
    assert page.count('mean of 2 seeds') == means == page.count('mean of ')


def test_what_is_not_finite_is_left_out_of_the_curves(tmp_path):
    folder = write_run(tmp_path / 'a')
    log = next(folder.glob('*/vis_data/scalars.json'))
    log.write_text(log.read_text().replace('"grad_norm": 1.0', '"grad_norm": Infinity'))
    (run,) = name_runs([str(folder)])
    assert run.curve('grad_norm') == [] and 'gradient norm' not in write_page([run])


def test_the_interval_of_a_score_stands_beside_it(tmp_path):
    folder = write_run(tmp_path / 'a')
    log = next(folder.glob('*/vis_data/scalars.json'))
    ends = {'coco/segm_mAP_low': 0.15, 'coco/segm_mAP_high': 0.26, 'coco/segm_mAP_l': -1.0}
    log.write_text(
        '\n'.join([*log.read_text().splitlines()[:-1], json.dumps(dict(step=30, **ends))])
    )
    page = write_page(name_runs([str(folder)]))
    assert '<span class="score">0.2 (0.15 to 0.26)</span></td><td>-</td>' in page
    assert 'segm_mAP_low' not in page and 'bootstrapped over the images' in page


def test_names_are_the_shortest_ends_that_differ(tmp_path):
    folders = [write_run(tmp_path / x / 'run') for x in ('a', 'b')]
    assert [run.name for run in name_runs(list(map(str, folders)))] == ['a/run', 'b/run']
    with pytest.raises(InputError, match='should be different work directories'):
        name_runs([str(folders[0]), f'{folders[0]}/'])


def test_folders_that_are_no_runs(tmp_path):
    with pytest.raises(InputError, match='absent does not exist'):
        name_runs([str(tmp_path / 'absent')])
    with pytest.raises(InputError, match='is not the work directory of a run'):
        name_runs([str(tmp_path)])


def test_a_run_that_has_just_begun(tmp_path):
    folder = write_run(tmp_path / 'a')
    next(folder.glob('*/vis_data/scalars.json')).unlink()
    (run,) = name_runs([str(folder)])
    assert run.curve('loss') == [] and '<h2>Time line</h2>' in write_page([run])


def test_a_config_that_cannot_be_read_is_no_obstacle(tmp_path):
    folder = write_run(tmp_path / 'a')
    (folder / 'c.py').write_text('import nothing_of_this_name\n')
    assert name_runs([str(folder)])[0].config == {}
    assert '<h2>Curves</h2>' in write_page(name_runs([str(folder)]))


def test_charts():
    points = [(i, float(i % 7)) for i in range(5 * MAX_POINTS)]
    assert len(thin(points)) <= MAX_POINTS and thin(points)[-1][0] == points[-1][0]
    assert ticks(0, 1) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0], abs=0.06) or len(ticks(0, 1)) > 2
    for low, high in ((0, 1), (0.13, 0.19), (0, 62000), (5, 5)):
        found = ticks(low, high)
        assert 1 <= len(found) <= 7 and all(low - 1e-9 <= y <= high + 1e-9 for y in found)
    assert line_chart('x', {0: {'a': []}}) == ''
    steep = line_chart('loss', {0: {'a': [(0, 100.0), *((i, 1.0) for i in range(1, 20))]}})
    assert 'higher values are cut off' in steep
    assert 'polyline' in line_chart('flat', {0: {'a': [(0, 1.0), (1, 1.0)]}})


def test_the_command(tmp_path):
    folder = write_run(tmp_path / 'a')
    run_tool('-m', 'mmum', 'report', folder)
    page = (folder / 'report.html').read_text()
    outside = re.findall(r'(?:src|href)="(?!data:)[^"]*"|url\((?!data:)|@import', page)
    assert not outside and 'http' not in page
    result = run_tool('-m', 'mmum', 'report', folder, '--out', 'x.txt', check=False)
    assert result.returncode == 2 and '--out x.txt should end in .html' in result.stderr


PROBE = """
<script>
window.addEventListener('error', function (e) { document.body.dataset.failed = e.message; });
window.addEventListener('load', function () {
  var slider = document.querySelector('.slider input');
  function frames() {
    return [].map.call(document.querySelectorAll('figure[data-frames]'), function (f) {
      var shown = [].filter.call(f.querySelectorAll('img'), function (i) { return !i.hidden; });
      return f.querySelector('.frame').textContent + ':' + shown.length;
    }).join(',');
  }
  function background() { return getComputedStyle(document.body).backgroundColor; }
  var found = {last: frames(), light: background()};
  slider.value = 0; slider.dispatchEvent(new Event('input'));
  found.first = frames();
  document.getElementById('theme').click();
  found.dark = background();
  found.charts = document.querySelectorAll('svg polyline').length;
  found.broken = [].filter.call(document.images, function (i) {
    return !i.naturalWidth && !i.hidden; }).length;
  found.requests = performance.getEntriesByType('resource').filter(function (r) {
    return r.name.indexOf('data:') !== 0; }).length;
  found.overflow = document.documentElement.scrollWidth > window.innerWidth;
  found.failed = document.body.dataset.failed || '';
  document.title = JSON.stringify(found);
});
</script></body>
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium')
@pytest.mark.parametrize('width', [1280, 500])
def test_in_a_browser(width, tmp_path):
    """No error, no request; charts, slider and both themes work, at the width of a phone too."""
    runs = name_runs([str(write_run(tmp_path / x, i)) for i, x in enumerate('ab')])
    page = write_page(runs)
    (tmp_path / 'page.html').write_text(page.replace('</body>', PROBE))
    result = subprocess.run(
        [
            CHROMIUM,
            '--headless',
            '--no-sandbox',
            '--disable-gpu',
            f'--window-size={width},900',
            '--virtual-time-budget=3000',
            '--dump-dom',
            f'file://{tmp_path}/page.html',
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(re.search(r'<title>(.*?)</title>', result.stdout)[1])
    assert found['last'] == 'epoch 100:1,epoch 100:1' and found['first'] == 'epoch 9:1,epoch 9:1'
    assert found['light'] == 'rgb(255, 255, 255)' and found['dark'] == 'rgb(20, 24, 28)'
    # loss and mean colour of two runs, five more scalars, and AP
    assert found['charts'] == 2 * (2 + 5 + 1)
    assert (found['broken'], found['requests'], found['failed']) == (0, 0, '')
    assert not found['overflow']


@pytest.mark.slow
def test_a_run_leaves_pictures_for_it(mini, tmp_path):
    """Of truth and detections, at every validation."""
    from tests.helpers import SMALL_DETECTOR

    config = ROOT / 'configs' / 'detection' / 'mask-rcnn_um-swin-nano_fpn_mini.py'
    arguments = ['--work-dir', tmp_path, '--cfg-options', f'data_root={mini}', *SMALL_DETECTOR]
    code, output = call_tool('tools/train.py', config, *arguments)
    assert code == 0, output[-2000:]
    (run,) = name_runs([str(tmp_path)])
    assert len(run.predictions) == 4 // 4  # one of each batch of validation
    assert 'alt="truth"' in write_page([run]) and 'coco/segm_mAP' in run.metrics
