"""tools/study.py on a tiny mini set: every run, its table and chart, and going on."""

import json
import shutil
from pathlib import Path

import cv2
import pytest
from benchmarks import arms, losses, nuclei, report, runs, scores, transfer
from benchmarks.settings import digest_of

from tests.helpers import (
    ROOT,
    SMALL_DETECTOR,
    SMALL_PRETRAINING,
    call_tool,
    output_of,
    write_download,
)

pytestmark = pytest.mark.slow


def run_here(name, log, *command, **env):
    """A stage in this process, which is spared the imports."""
    code, output = call_tool(Path(command[0]).relative_to(ROOT), *command[1:])
    assert code == 0, output[-3000:]
    Path(log).write_text(output)
    return 1.0, output


def test_a_study_and_going_on_with_it(mini, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, 'run_stage', run_here)

    output_of(
        'tools/prepare_data.py',
        'mini-classes',
        *('--train', 20, '--val', 10, '--size', 64, '--out', tmp_path / 'digits'),
    )

    def study(*arguments):
        return call_tool(
            'tools/study.py',
            'transfer',
            '--data',
            mini,
            '--work-dir',
            tmp_path / 'study',
            '--seeds',
            3,
            '--heads',
            'mask_rcnn',
            'upernet',
            'knn',
            '--digits',
            tmp_path / 'digits',
            '--starts',
            'scratch',
            'simmim',
            *arguments,
        )

    options = [
        '--pretrain-options',
        *(option for option in SMALL_PRETRAINING if 'neck.embed_dims' not in option),
        '--detect-options',
        *SMALL_DETECTOR,
        '--knn-options',
        *SMALL_DETECTOR[:2],
        '--segment-options',
        *SMALL_DETECTOR[:2],
        'model.decode_head.in_channels=[16,32,64,128]',
        'model.auxiliary_head.in_channels=64',
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=2',
    ]
    code, output = study(*options)
    assert code == 0, output[-3000:]
    found = json.loads((tmp_path / 'study' / 'transfer.json').read_text())
    assert [run['method'] for run in found['pretraining']] == ['simmim']
    assert [run['start'] for run in found['runs']] == 3 * ['scratch', 'simmim']
    assert [sorted(run['ap']) for run in found['runs'][1::2]] == [
        sorted(scores.METRICS),
        ['aAcc', 'mAcc', 'mIoU'],
        ['top1'],
    ]
    assert all(
        0 <= value <= 1 and run['seconds'] > 0 and run['seed'] == 3
        for run in found['runs']
        for value in run['ap'].values()
    )
    assert (tmp_path / 'study' / 'transfer.md').read_text() == transfer.table(found)
    assert cv2.imread(str(tmp_path / 'study' / 'transfer.png')).shape[0] > 200
    assert '[7/7]' in output and '| Mask R-CNN | SimMIM |' in output
    assert '| UPerNet | SimMIM | - | - | - | - |' in output
    assert '| mask AP50 | mIoU | top-1 | gain |' in output
    assert '| k-NN | SimMIM | - | - | - | - | - |' in output
    log = (tmp_path / 'study' / 'mask_rcnn_simmim_3.log').read_text()
    assert 'pretrain_simmim_3/backbone.safetensors' in log and 'unused: 0' in log
    # nothing is made twice
    monkeypatch.setattr(runs, 'run_stage', None)
    code, output = study(*options)
    assert code == 0 and output.count('was there') == 7, output[-3000:]
    again = json.loads((tmp_path / 'study' / 'transfer.json').read_text())
    assert again['runs'] == found['runs']
    code, output = study()
    assert code == 2 and 'holds a run with other settings' in output.splitlines()[-1]


def test_the_table_and_who_is_ahead():
    runs = [
        dict(
            head='htc', start=start, seed=seed, seconds=10.0, ap=dict.fromkeys(transfer.METRICS, ap)
        )
        for seed, pair in enumerate([(0.1, 0.2), (0.3, 0.25), (0.2, 0.4)])
        for start, ap in zip(('scratch', 'um_mae'), pair)
    ]
    result = dict(
        provenance=dict(command='c', hardware='h', date='d', versions=dict(torch='t', mmum='m')),
        runs=runs,
        settings=dict(once=True, pretrain_options=[], detect_options=[]),
        pretraining=[],
    )
    table = transfer.table(result)
    assert (
        '| HTC (without semantic) | UM-MAE | 28.3 (20.0-40.0) |' in table
        and '| +8.3 (-5.0 to +20.0) |' in table
    )
    assert '`c`, h, torch t, mmum m, d.' in table and 'one pre-training a method' in table


def test_a_curve_is_compared_with_the_answers_on_its_own_batches():
    def curve(*losses, **scores):
        return [dict(step=50 * i, loss=loss, **scores) for i, loss in enumerate(losses, 1)]

    curves = [
        curve(0.8, 0.55, 0.45, own_colour=0.5),
        curve(0.8, 0.55, 0.45, own_colour=0.7),
        curve(0.8, 0.62, 0.45),  # logged none: 0.6, the mean of the others
        curve(0.8, 0.55, 0.55, own_colour=0.5),
    ]
    assert losses.first_below_trivial(curves[:3], 'own_colour') == [150, 100, 150]
    assert losses.first_below_trivial(curves[3:], 'own_colour') == [None]


def test_losses_stand_beside_the_heads_where_several_seeds_pre_trained(tmp_path):
    def first(method, seed, loss, **more):
        curve = [dict(step=step, loss=loss + 2 / step, **more) for step in range(50, 501, 50)]
        return dict(method=method, seed=seed, loss=curve[-1]['loss'], curve=curve)

    levels = dict(mean_colour=1.0, interpolation=0.9, own_colour=0.51)
    result = dict(
        provenance=dict(command='c', hardware='h', date='d', versions=dict(torch='t', mmum='m')),
        runs=[
            dict(head='knn', start=start, seed=seed, seconds=1.0, ap=dict(top1=0.5))
            for seed in (0, 1)
            for start in ('um_mae', 'simmim')
        ],
        settings=dict(once=False, pretrain_options=[], detect_options=[]),
        pretraining=[
            first('um_mae', 0, 0.5, **levels),
            first('simmim', 0, 0.3),
            first('um_mae', 1, 0.98, **levels),
            first('simmim', 1, 0.4),
        ],
    )
    table = transfer.table(result)
    # 2 / step more: 0.54 and 1.02 at step 50, of 0.5 and 0.98 in the end
    assert '| pre-training | 50 steps | 100 steps | 200 steps | 350 steps | 500 steps |' in table
    assert (
        '| UM-MAE | 0.7800 | 0.7600 |' in table
        and '| 1.0000 | 0.9000 | 0.5100 | 50, 150 |' in table
    )
    assert 'and below the own colour.' in table and '| 50, 150 | 250, not reached |' in table
    # SimMIM logs no trivial answers, so it has no row there
    assert 'Last loss of SimMIM: 0.354 (0.304-0.404).' in table and 'Last loss of UM' not in table
    losses.picture(transfer.loss_rows(result), tmp_path / 'chart.png')
    assert cv2.imread(str(tmp_path / 'chart.png')).shape[0] > 200
    # files from before that score was logged
    for first in result['pretraining']:
        for point in first['curve']:
            point.pop('own_colour', None)
    assert '| 1.0000 | 0.9000 | 50, 150 |' in transfer.table(result)
    losses.picture(transfer.loss_rows(result), tmp_path / 'chart.png')
    # one pre-training a method: its last loss is enough
    once = dict(result, pretraining=result['pretraining'][:2])
    assert 'Last loss of UM-MAE: 0.504.' in transfer.table(once)
    assert not transfer.loss_rows(once)


def test_all_heads_share_data_and_schedule():
    """What is compared are heads and starts, nothing else."""
    from mmum.engine.config import load_config

    *configs, segmentation = (
        load_config(str(ROOT / 'configs' / transfer.HEADS[name])) for name in transfer.DEFAULT_HEADS
    )
    for key in (
        'train_dataloader',
        'val_dataloader',
        'param_scheduler',
        'optim_wrapper',
        'train_cfg',
    ):
        assert configs[0][key] == configs[1][key] == configs[2][key]
    assert [cfg.model.type for cfg in configs] == ['MaskRCNN', 'CascadeRCNN', 'HybridTaskCascade']
    batch = segmentation.train_dataloader.batch_size
    assert batch == configs[0].train_dataloader.batch_size
    assert segmentation.train_cfg.max_iters * batch == 100 * configs[0].train_cfg.max_epochs
    assert segmentation.optim_wrapper.optimizer == configs[0].optim_wrapper.optimizer
    assert segmentation.model.backbone.arch == configs[0].model.backbone.arch
    assert configs[0].model.backbone == configs[1].model.backbone == configs[2].model.backbone
    one, *others = (
        load_config(str(ROOT / 'configs' / 'selfsup' / name))
        for name in transfer.STARTS.values()
        if name
    )
    for other in others:
        for key in ('param_scheduler', 'optim_wrapper', 'train_cfg'):
            assert one[key] == other[key]
        assert (
            one.model.backbone.arch == other.model.backbone.arch
            and one.train_pipeline[:3] == other.train_pipeline[:3]
        )
    assert transfer.NAMES['cross_longer'].endswith(f'{transfer.EPOCHS["cross_longer"]} epochs')


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['--seeds', '1', '1'], '--seeds 1 1 should be different numbers'),
        (['--jobs', '0'], '--jobs 0 should be at least 1'),
        (['--detect-epochs', '-1'], '--detect-epochs -1 should be at least 1'),
        (['--heads', 'knn', '--detect-epochs', '2'], '--detect-epochs is for heads of detection'),
        (['--heads', 'htc', '--knn-options', 'a=1'], '--knn-options is for heads of classificat'),
        (['--out', 'x.txt'], '--out x.txt should end in .json'),
        (['--out', '/proc/x/y.json'], '/proc/x/y.json cannot be written'),
    ],
)
def test_bad_arguments(arguments, sentence):
    code, output = call_tool('tools/study.py', 'transfer', *arguments)
    assert code == 2 and sentence in output.splitlines()[-1]


@pytest.fixture(scope='module')
def nuclei_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp('nuclei')
    source = write_download(folder, 36)
    output_of('tools/prepare_data.py', 'nuclei', source, '--out', folder / 'nuclei')
    return folder / 'nuclei'


class Trainer:
    """Stands in for trainings and tests: writes what they log, better with every step of
    pre-training, and a tenth better on the half that is reported."""

    def __init__(self):
        self.commands, self.lucky = [], None

    @property
    def trainings(self):
        return [command for command in self.commands if command[0].endswith('train.py')]

    def __call__(self, name, log, *command, **env):
        command = [str(part) for part in command]
        self.commands.append(command)
        folder = Path(command[command.index('--work-dir') + 1])
        (folder / 'x' / 'vis_data').mkdir(parents=True)
        lines = []
        if command[0].endswith('test.py'):
            assert 'val_report.json' in ' '.join(command)
            ap = 1.1 * float(Path(command[2]).with_name('ap').read_text())
            lines.append({f'coco/{metric}': ap for metric in scores.METRICS})
        elif 'detection' not in command[1]:
            iters = int(command[command.index('--iters') + 1])
            (folder / 'backbone.safetensors').touch()
            (folder / 'iters').write_text(str(iters))
            lines += [{'accuracy/top1': 60.0}]
            trivial = dict(mean_colour=0.4, interpolation=0.39, own_colour=0.3)
            if 'simmim' in command[1] or 'classification' in command[1]:
                trivial = {}
            for step in range(1, 200):
                lines.append(dict(loss=1 / step, step=step, time=0.5, **trivial))
        else:
            start = command[-1].removeprefix('pretrained=')
            steps = int(Path(start).with_name('iters').read_text()) if start != 'None' else 0
            rate = next((o for o in command if o.startswith('optim_wrapper.optimizer.lr=')), '=0')
            rate = float(rate.partition('=')[2])
            if self.lucky and rate == 4e-3:
                rate = 5e-3 if self.lucky in command else 1e-4
            ap = 0.1 + steps / 1e4 + rate
            (folder / 'last_checkpoint').write_text(str(folder / 'iter_1.pth'))
            (folder / 'ap').write_text(str(ap))
            lines.append(dict(loss=1.0, time=0.25))
            if not any(option.startswith('train_cfg.val_begin=') for option in command):
                lines.append({f'coco/{metric}': ap for metric in scores.METRICS})
        text = ''.join(json.dumps(line) + '\n' for line in lines)
        (folder / 'x' / 'vis_data' / 'scalars.json').write_text(text)
        return 1.0, ''


@pytest.mark.parametrize(
    'command, rows, charts',
    [
        (['curves', '--pretrain-iters', 100, 300], 5, 2),
        (['labels', '--labels', 25, 50], 6, 2),
        # the losses of these two have no trivial answers beside them: no second chart
        (['labels', '--labels', 50, '--starts', 'scratch', 'simmim', 'supervised'], 3, 1),
        (['lengths', '--detect-iters', 50, 100, '--starts', 'scratch', 'um_mae'], 4, 2),
        (['ablations'], 31, 2),
        (['starts', '--starts', 'scratch', 'um_mae', 'supervised', '--longer', 2000], 4, 3),
        (['adapt'], 4, 2),
        (['losses', '--rows', 'decoder of two stages'], 2, 1),
    ],
)
def test_studies_on_nuclei(command, rows, charts, nuclei_set, tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    digits = tmp_path / 'digits'
    if command[0] == 'adapt' or 'supervised' in command:
        output_of(
            'tools/prepare_data.py', 'mini-classes', '--train', 20, '--val', 10, '--out', digits
        )
        command = [*command, '--digits', digits]
    arguments = [*command, '--seeds', 0, 1, '--jobs', 2, '--data', nuclei_set]
    arguments += ['--work-dir', tmp_path]
    code, output = call_tool('tools/study.py', *arguments)
    assert code == 0, output[-3000:]
    result = json.loads((tmp_path / f'{command[0]}.json').read_text())
    assert len(result['rows']) == rows and len(list(tmp_path.glob('*.png'))) == charts
    table = (tmp_path / f'{command[0]}.md').read_text()
    maker = losses if command[0] == 'losses' else arms
    assert table == maker.table(result) and table in output
    # every start of a row has the seed of its detector, and no run is made twice
    folders = [call[call.index('--work-dir') + 1] for call in trainer.commands]
    assert len(set(folders)) == len(folders)
    before = len(trainer.commands)
    code, output = call_tool('tools/study.py', *arguments)
    assert code == 0 and len(trainer.commands) == before and 'was there' in output
    # the options are those of the config: nothing is set that it does not have
    from mmum.engine import load_config

    several = {}
    for call in trainer.commands:
        options = dict(o.split('=', 1) for o in call[call.index('--cfg-options') + 1 :])
        several[call[1], tuple(options)] = options
    for (config, _), options in several.items():
        load_config(config, options)


@pytest.mark.parametrize(
    'command, option',
    [
        ('losses', '--starts'),
        ('losses', '--detect-iters'),
        ('losses', '--labels'),
        ('losses', '--pretrain-once'),
        ('ablations', '--starts'),
        ('adapt', '--starts'),
    ],
)
def test_an_option_that_a_study_would_not_use_is_refused(command, option):
    code, output = call_tool('tools/study.py', command, option)
    assert code == 2 and f'unrecognized arguments: {option}' in output


def test_gains_over_every_length_of_a_detector_from_scratch(nuclei_set, tmp_path, monkeypatch):
    """So a row can be read at equal time too: a longer detector for the steps of pre-training."""
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    arguments = ['lengths', '--seeds', 0, '--data', nuclei_set, '--work-dir', tmp_path]
    arguments += ['--starts', 'scratch', 'um_mae', '--pretrain-iters', 500]
    code, output = call_tool('tools/study.py', *arguments, '--detect-iters', 50, 100)
    assert code == 0, output[-3000:]
    table = (tmp_path / 'lengths.md').read_text()
    assert '| row | minus from scratch, 50 steps | minus from scratch, 100 steps |' in table
    # 0.05 for 500 steps of pre-training, and a tenth of it on the reported half
    assert '| UM-MAE, 50 steps | +5.5 | +5.5 |' in table
    assert [call[call.index('--iters') + 1] for call in trainer.trainings] == [
        *('50', '500', '50', '100', '100')
    ]
    arguments += ['--detect-iters', 50, 100]
    code, output = call_tool('tools/study.py', *arguments, '--longer', 600)
    assert code == 0, output[-3000:]
    assert 'from scratch, 100 steps | minus from scratch, 600 steps |' in output
    assert trainer.trainings[-1][trainer.trainings[-1].index('--iters') + 1] == '600'
    code, output = call_tool('tools/study.py', *arguments, '--longer', 100)
    assert code == 2 and '--longer 100 is one of --detect-iters' in output
    code, output = call_tool('tools/study.py', 'labels', *arguments[1:])
    assert code == 2 and '--detect-iters 50 100: several are for `study.py lengths`' in output


def test_detectors_whose_test_counts_need_not_validate(nuclei_set, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, 'run_stage', Trainer())
    arguments = ['--seeds', 0, '--data', nuclei_set, '--starts', 'scratch', 'um_mae']
    found = []
    for options in ([], ['--detect-options', 'train_cfg.val_begin=2000']):
        work_dir = ['--work-dir', tmp_path / str(len(options))]
        code, output = call_tool('tools/study.py', 'labels', *arguments, *work_dir, *options)
        assert code == 0, output[-3000:]
        result = json.loads((work_dir[1] / 'labels.json').read_text())
        found.append([row['ap'] for row in result['rows']])
    assert found[0] == found[1] and 'mask AP 44.1' in output
    # settings are chosen by the validation
    code, output = call_tool('tools/study.py', 'starts', *arguments, *work_dir, *options)
    assert code == 2 and 'choose_1000_0 has no AP: its training must validate' in output


def test_the_time_that_is_left():
    def run(name, steps, tool=runs.TRAIN):
        return runs.Run(name, name, 'detector.py', (), ('--iters', str(steps)), tool=tool)

    found = {run('a', 500): dict(seconds=300.0), run('b', 500): dict(seconds=500.0)}
    found[run('h', 500)] = dict(ap={})  # of a file that does not say how long it took
    same, other, test = run('c', 500), run('d', 1600), run('e', 500, runs.TEST)
    assert runs.seconds_of([same, test], found) == 400  # of a test nothing is known
    assert runs.seconds_of([same, same], found) == 800
    found[other] = dict(seconds=1600.0)
    assert runs.seconds_of([run('f', 1600)], found) == 1600
    assert runs.seconds_of([run('g', 3000)], found) == 800  # the mean of all trainings
    assert runs.seconds_of([test], found | {test: dict(seconds=40.0)}) == 40
    assert runs.seconds_of([], {}) == 0


def test_a_run_that_is_too_short_to_log_a_step_is_named(nuclei_set, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, 'run_stage', lambda *command, **env: (1.0, ''))
    arguments = ['--pretrain-iters', 5, '--seeds', 0, '--data', nuclei_set, '--work-dir', tmp_path]
    code, output = call_tool('tools/study.py', 'losses', *arguments)
    assert code == 2 and 'logged no step' in output
    assert 'configs/selfsup/um_mae_swin_nano_nuclei.py' in output


def test_starts_are_chosen_on_one_half_and_reported_on_the_other(nuclei_set, tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    arguments = ['--seeds', 0, '--data', nuclei_set, '--work-dir', tmp_path, '--starts', 'scratch']
    code, output = call_tool('tools/study.py', 'starts', *arguments)
    assert code == 0, output[-3000:]
    result = json.loads((tmp_path / 'starts.json').read_text())
    table = (tmp_path / 'starts.md').read_text()
    assert table.count('| from scratch, lr ') == 1 + len(result['tried']) == 11
    assert 'Tried on the half that is chosen on:' in table
    assert len(result['tried']) == len(nuclei.RATES) * len(nuclei.DECAYS)
    assert [row['name'] for row in result['rows']] == ['from scratch, lr 0.004, layer decay 1']
    assert result['chosen'] == dict(scratch=dict(lr=4e-3, layer_decay=1.0))
    assert len(trainer.trainings) == 10 and len(trainer.commands) == 11  # the best is tested
    assert all(' '.join(call).count('val_choose.json') == 2 for call in trainer.trainings)
    assert 'val_report.json' not in ' '.join(sum(trainer.trainings, []))
    tried = {row['name']: row['ap'] for row in result['tried']}
    for row in result['rows']:
        assert row['ap'][0]['segm_mAP'] == pytest.approx(1.1 * tried[row['name']][0]['segm_mAP'])


def test_the_best_settings_are_tried_again_with_more_seeds(nuclei_set, tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    arguments = ['--seeds', 0, 1, 2, 3, '--data', nuclei_set, '--work-dir', tmp_path]
    trainer.lucky = 'randomness.seed=0'  # with it alone the highest rate is the best
    code, output = call_tool('tools/study.py', 'starts', *arguments, '--starts', 'scratch')
    assert code == 0, output[-3000:]
    result = json.loads((tmp_path / 'starts.json').read_text())
    seeds = {row['name']: row['seeds'] for row in result['tried']}
    again = [name for name, of in seeds.items() if of == [0, 1, 2]]
    assert len(again) == nuclei.FINALISTS and all(of in ([0], [0, 1, 2]) for of in seeds.values())
    assert len(trainer.trainings) == 10 + 2 * 3 + 1 and len(trainer.commands) == 17 + 4
    assert result['chosen'] == dict(scratch=dict(lr=2e-3, layer_decay=1.0))


def test_a_smaller_choice_of_settings(nuclei_set, tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    arguments = ['starts', '--starts', 'scratch', '--seeds', 0, 1, '--data', nuclei_set]
    arguments += ['--work-dir', tmp_path, '--decays', 1, '--finalists', 1, '--rates']
    code, output = call_tool('tools/study.py', *arguments, 5e-4, 2e-3)
    assert code == 0, output[-3000:]
    result = json.loads((tmp_path / 'starts.json').read_text())
    assert [row['name'] for row in result['tried']] == [
        f'from scratch, lr {rate}, layer decay 1' for rate in (0.0005, 0.002)
    ]
    assert result['chosen'] == dict(scratch=dict(lr=2e-3, layer_decay=1.0))
    # the better one has its second seed for the report, and tests of both
    assert [row['seeds'] for row in result['tried']] == [[0], [0]]
    assert len(trainer.trainings) == 3 and len(trainer.commands) == 5
    assert 'the best of 2 x 1 on the other half' in output
    assert 'tried with one seed. Seeds 0, 1' in output
    for wrong, sentence in (
        (['0'], '--rates 0 should be above 0'),
        (['1', '--decays', '1.5'], '--decays 1.5 should be above 0 and at most 1'),
        (['1', '--finalists', '0'], '--finalists 0 should be at least 1'),
    ):
        code, output = call_tool('tools/study.py', *arguments, *wrong)
        assert code == 2 and sentence in output

    # a later study has the setting that was chosen, and the config's for the other start
    arguments = ['lengths', '--starts', 'scratch', 'um_mae', '--seeds', 0, '--data', nuclei_set]
    arguments += ['--work-dir', tmp_path, '--settings', tmp_path / 'starts.json']
    code, output = call_tool('tools/study.py', *arguments)
    assert code == 0, output[-3000:]
    about = json.loads((tmp_path / 'lengths.json').read_text())['settings']['about']
    assert 'from scratch, lr 0.002, layer decay 1; UM-MAE, lr 0.001, layer decay 1' in about


def test_later_studies_take_the_settings_that_were_chosen(nuclei_set, tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    common = ['--seeds', 0, '--data', nuclei_set, '--work-dir', tmp_path]
    common += ['--starts', 'scratch', 'um_mae']
    code, output = call_tool('tools/study.py', 'starts', *common)
    assert code == 0, output[-3000:]
    before = len(trainer.trainings)
    settings = ['--settings', tmp_path / 'starts.json']
    code, output = call_tool('tools/study.py', 'labels', '--labels', 25, 50, *common, *settings)
    assert code == 0, output[-3000:]
    made = [' '.join(command) for command in trainer.trainings[before:]]
    # those of 50 labels were made for the study of starts
    assert len(made) == 2 and all('train_25.json' in command for command in made)
    assert all('optimizer.lr=0.004' in command for command in made)
    result = json.loads((tmp_path / 'labels.json').read_text())
    assert 'UM-MAE, lr 0.004, layer decay 1' in result['settings']['about']
    starts = json.loads((tmp_path / 'starts.json').read_text())
    assert [row['ap'] for row in result['rows'][2:]] == [row['ap'] for row in starts['rows']]
    # a pre-training of another length is another run
    code, output = call_tool(
        'tools/study.py', 'labels', '--labels', 50, *common, *settings, '--pretrain-iters', 700
    )
    assert code == 0 and len(trainer.trainings) == before + 4, output[-3000:]
    # and one with other options stops the study
    options = ['--pretrain-options', 'randomness.x=1']
    code, output = call_tool(
        'tools/study.py', 'labels', '--labels', 50, *common, *settings, *options
    )
    assert code == 2 and 'holds a run with other settings' in output.splitlines()[-1]
    code, output = call_tool('tools/study.py', 'labels', *common, '--settings', tmp_path / 'x.json')
    assert code == 2 and 'x.json is no result of `python tools/study.py starts`' in output


def test_known_runs_of_another_machine_are_not_made_again(nuclei_set, tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    common = ['--seeds', 0, '--data', nuclei_set, '--starts', 'scratch', 'um_mae']
    common += ['--pretrain-iters', 500]

    def study(name, folder, *arguments):
        return call_tool(
            'tools/study.py', name, *common, *arguments, '--work-dir', tmp_path / folder
        )

    elsewhere = dict(hardware='1 x GPU', date='2026-01-01', versions=dict(mmum='0', torch='t'))
    with monkeypatch.context() as there:
        there.setattr(runs, 'made_here', lambda: elsewhere)
        code, output = study('labels', 'there', '--labels', 50)
    assert code == 0, output[-3000:]
    known = tmp_path / 'there' / 'labels.json'
    before = len(trainer.commands)
    assert before == 5  # a pre-training, two detectors, two tests
    code, output = study('labels', 'here', '--labels', 25, 50, '--known', known)
    assert code == 0 and output.count(f'in {known}') == 4, output[-3000:]
    # the detector of 25 labels starts from the pre-training, whose weights are not in the file
    made = [command[command.index('--work-dir') + 1] for command in trainer.commands[before:]]
    assert sorted(Path(folder).name.split('_')[0] for folder in made) == [
        *('detect', 'detect', 'pretrain', 'test', 'test')
    ]
    assert sum('25_labels' in folder for folder in made) == 4
    result = json.loads((tmp_path / 'here' / 'labels.json').read_text())
    first = json.loads(known.read_text())
    assert [row['ap'] for row in result['rows'][2:]] == [row['ap'] for row in first['rows']]
    assert len(result['record']) == 9
    table = (tmp_path / 'here' / 'labels.md').read_text()
    assert '4 of its 9 runs: 1 x GPU, torch t, mmum 0, 2026-01-01.' in table
    head = dict(first['provenance'], **elsewhere)
    assert 'of its' not in report.caption_of(dict(first, provenance=head))
    # of the next study every run is here or known
    before = len(trainer.commands)
    code, output = study('labels', 'here', '--labels', 25, 50, '--known', known)
    assert code == 0 and len(trainer.commands) == before
    code, output = study('labels', 'new', '--labels', 50, '--known', known)
    assert code == 0 and len(trainer.commands) == before and output.count(f'in {known}') == 5
    # what is recorded with other settings stops the study
    options = ['--detect-options', 'randomness.x=1']
    code, output = study('labels', 'other', '--labels', 50, '--known', known, *options)
    assert code == 2 and f'{known} holds a run with other settings' in output.splitlines()[-1]
    # and so does one that is from before its config was changed
    for folder, one in first['record'].items():
        one['digest'] = 'another' if folder.startswith('pretrain') else one['digest']
    known.write_text(json.dumps(first))
    code, output = study('labels', 'other', '--labels', 50, '--known', known)
    assert code == 2 and len(trainer.commands) == before
    assert 'from before configs/selfsup/um_mae_swin_nano_nuclei.py was changed' in output
    code, output = study('labels', 'other', '--known', tmp_path / 'x.json')
    assert code == 2 and 'x.json is no result of `python tools/study.py`' in output


def test_what_a_folder_no_longer_holds_is_made_again(nuclei_set, tmp_path, monkeypatch):
    """A pre-training that was removed, whose detectors are there."""
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    arguments = ['labels', '--labels', 50, '--seeds', 0, '--starts', 'um_mae', '--data', nuclei_set]
    arguments += ['--work-dir', tmp_path]
    assert call_tool('tools/study.py', *arguments)[0] == 0
    (folder,) = tmp_path.glob('pretrain_*_0')
    before = json.loads((tmp_path / 'labels.json').read_text())['rows']
    shutil.rmtree(folder)
    code, output = call_tool('tools/study.py', *arguments)
    assert code == 0 and len(trainer.commands) == 4, output[-3000:]
    assert trainer.commands[-1][trainer.commands[-1].index('--work-dir') + 1] == str(folder)
    assert json.loads((tmp_path / 'labels.json').read_text())['rows'] == before


def test_a_config_that_says_something_else_has_another_digest(tmp_path):
    """Comments and what a training does not depend on do not count."""
    base = ROOT / 'configs' / 'selfsup' / 'um_mae_swin_nano_nuclei.py'
    digests = []
    for text in (
        '',
        '# a word\n',
        "work_dir = 'x'\n",
        'optim_wrapper = dict(optimizer=dict(lr=1))',
    ):
        config = tmp_path / f'c{len(digests)}.py'
        config.write_text(f'_base_ = {str(base)!r}\n{text}')
        digests.append(digest_of(config))
    assert digests[0] == digest_of(base) == digests[1] == digests[2] != digests[3]


def test_a_second_pretraining_for_the_same_detectors(nuclei_set, tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    arguments = ['labels', '--labels', 50, '--seeds', 0, 1, '--starts', 'scratch', 'um_mae']
    arguments += ['--data', nuclei_set, '--work-dir', tmp_path, '--pretrain-iters', 500]
    seed = ['--pretrain-seed', 7]
    code, output = call_tool('tools/study.py', *arguments, *seed)
    assert code == 2 and '--pretrain-seed 7 should be at least 0, with --pretrain-once' in output
    code, output = call_tool('tools/study.py', *arguments, '--pretrain-once')
    assert code == 0 and len(trainer.trainings) == 5, output[-3000:]
    code, output = call_tool('tools/study.py', *arguments, '--pretrain-once', *seed)
    assert code == 0, output[-3000:]
    pretraining, *detectors = trainer.trainings[5:]  # those from scratch are there
    assert 'randomness.seed=7' in pretraining and len(detectors) == 2
    folder = pretraining[pretraining.index('--work-dir') + 1]
    for seed, detector in enumerate(detectors):
        assert f'randomness.seed={seed}' in detector
        assert f'pretrained={folder}/backbone.safetensors' in detector
    assert 'Seeds 0, 1, one pre-training a row, of seed 7.' in (tmp_path / 'labels.md').read_text()


def test_a_start_without_weights_is_named(nuclei_set, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, 'run_stage', Trainer())
    arguments = ['--seeds', 0, '--data', nuclei_set, '--work-dir', tmp_path]
    arguments += ['--starts', 'um_mae', '--pretrain-iters', 500]
    code, output = call_tool('tools/study.py', 'labels', '--labels', 50, *arguments)
    assert code == 0, output[-3000:]
    (weights,) = tmp_path.glob('pretrain_*/backbone.safetensors')
    weights.unlink()
    code, output = call_tool('tools/study.py', 'labels', '--labels', 25, *arguments)
    assert code == 2 and f'{weights.parent} has a result and no weights' in output


def test_what_is_adapted_starts_from_what_was_trained_before(nuclei_set, tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(runs, 'run_stage', trainer)
    digits = tmp_path / 'digits'
    output_of('tools/prepare_data.py', 'mini-classes', '--train', 20, '--val', 10, '--out', digits)
    arguments = ['--seeds', 1, '--data', nuclei_set, '--work-dir', tmp_path, '--digits', digits]
    arguments += ['--pretrain-iters', 3000, 4000]
    code, output = call_tool('tools/study.py', 'adapt', *arguments)
    assert code == 0, output[-3000:]
    starts = {
        Path(command[command.index('--work-dir') + 1]).name: command[-1].rpartition('/')[0]
        for command in trainer.trainings
    }
    first = 'pretrain_swin-nano_mini_3000'
    adapting = 'um_mae_stock_swin_nano_nuclei_adapt_3000'
    assert starts[f'{first}_then_{adapting}_1'] == f'pretrained={tmp_path}/{first}_1'
    detectors = [name for name in starts if name.startswith('detect_')]
    assert len(detectors) == 6 and len(starts) == 11  # the weights from elsewhere once
    both = {name for name in detectors if 'then' in name}
    for name, iters, after in zip(sorted(both), (3000, 4000), (6000, 7000), strict=True):
        assert f'after_{after}' in name
        longer = adapting.replace('3000', str(iters))
        assert starts[name] == f'pretrained={tmp_path}/{first}_then_{longer}_1'
    result = json.loads((tmp_path / 'adapt.json').read_text())
    assert [row['name'] for row in result['rows']] == [
        'from scratch',
        'supervised on digits',
        'UM-MAE on nuclei, 3000 steps',
        'UM-MAE on nuclei, 4000 steps',
        'supervised on digits, then UM-MAE on nuclei, 3000 steps',
        'supervised on digits, then UM-MAE on nuclei, 4000 steps',
    ]


def test_intervals_are_paired():
    rows = [
        dict(name='a', against=None, ap=[dict(segm_mAP=v) for v in (0.1, 0.2, 0.3)]),
        dict(name='b', against='a', ap=[dict(segm_mAP=v) for v in (0.12, 0.22, 0.32)]),
    ]
    assert arms.differences(rows[1], rows) == pytest.approx([2, 2, 2])
    assert arms.interval([2.0, 2.0, 2.0]) == (2.0, 2.0)
    low, high = arms.interval([1.0, 2.0, 3.0])
    assert 1 <= low < 2 < high <= 3
    assert arms.differences(rows[0], rows) is None
