"""More ranks, sharded or not, are the same training; benchmarks write what they promise."""

import importlib.util
import json
import os
import re
import runpy

import pytest
import torch
from benchmarks import profile
from benchmarks.report import provenance
from mmengine.config import Config

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.cli.command import run_command
from mmum.cli.options import set_amp, set_global_batch
from mmum.engine.config import load_config
from mmum.engine.scale.strategies import fit_deepspeed
from mmum.errors import InputError
from tests.helpers import ROOT, call_tool, free_port, run_tool

pytestmark = pytest.mark.slow

SELFSUP = ROOT / 'configs' / 'selfsup'
deepspeed = pytest.mark.skipif(
    not importlib.util.find_spec('deepspeed'), reason="needs pip install 'deepspeed<0.19'"
)
SMALL = [
    'model.backbone.arch.embed_dims=16',
    'model.backbone.arch.num_heads=[1,2,4,8]',
    'model.neck.in_channels=128',
    'model.neck.embed_dims=32',
    'train_dataloader.batch_size=4',
    'train_dataloader.num_workers=0',
    'train_cfg.max_epochs=2',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.interval=1',
]


def train(config, mini, work_dir):
    losses = losses_of(launch(config, mini, work_dir))
    assert len(losses) == 2 * 2  # 16 images, 2 x 4 a step
    return losses, read_checkpoint(work_dir / 'epoch_2.pth')


def launch(config, mini, work_dir, *arguments):
    return run_tool(
        'tools/dist_train.sh',
        config,
        2,
        '--work-dir',
        work_dir,
        *arguments,
        '--cfg-options',
        f'data_root={mini}/unlabelled',
        *SMALL,
        PORT=free_port(),
    )


def losses_of(result):
    return [
        float(loss)
        for loss in re.findall(r'Epoch\(train\).* loss: ([0-9.]+)', result.stdout + result.stderr)
    ]


@pytest.fixture(scope='module')
def plain(mini, tmp_path_factory):
    return train(SELFSUP / 'um_mae_swin_nano_mini.py', mini, tmp_path_factory.mktemp('ddp'))


def write_small(name, path):
    """The small Swin in the way of a large config."""
    cfg, large = (
        Config.fromfile(SELFSUP / f'{config}.py')
        for config in ('um_mae_swin_nano_mini', f'um_mae_swin_l_{name}')
    )
    for key in ('runner_type', 'strategy', 'custom_hooks'):
        if key in large:
            cfg[key] = large[key]
    lr = cfg.optim_wrapper.optimizer.lr
    cfg.optim_wrapper.optimizer = {**large.optim_wrapper.optimizer, 'lr': lr}
    cfg.dump(path)
    return path


@pytest.mark.distributed
@pytest.mark.parametrize('name', ['zero1', 'fsdp', pytest.param('deepspeed', marks=deepspeed)])
def test_sharded_training_is_the_same_and_leaves_one_whole_checkpoint(name, plain, mini, tmp_path):
    config, work = write_small(name, tmp_path / 'config.py'), tmp_path / 'work'
    losses, checkpoint = train(config, mini, work)
    assert losses == pytest.approx(plain[0], abs=2e-4)
    ours, theirs = weights_of(checkpoint), weights_of(plain[1])
    assert ours.keys() == theirs.keys()
    for key in theirs:
        assert torch.allclose(ours[key], theirs[key], atol=1e-4), key
    assert 'optimizer' in checkpoint
    # it is tested where nothing is sharded, by the same config
    code, output = call_tool(
        'tools/test.py',
        config,
        work / 'epoch_2.pth',
        '--work-dir',
        tmp_path / 'test',
        '--cfg-options',
        f'data_root={mini}/unlabelled',
        *SMALL,
    )
    assert code == 0 and 'reconstruction/loss: 1.0' in output, output[-3000:]
    # and it goes on exactly
    (work / 'last_checkpoint').write_text(str(work / 'epoch_1.pth'))
    assert losses_of(launch(config, mini, work, '--resume')) == pytest.approx(losses[2:], abs=2e-4)


@pytest.mark.distributed
@deepspeed
def test_deepspeed_rolls_back_after_a_non_finite_loss(mini, tmp_path):
    config = write_small('deepspeed', tmp_path / 'config.py')
    config.write_text(
        config.read_text() + "\ncustom_imports = dict(imports=['tests.faults'])\n"
        "custom_hooks = [dict(type='PoisonHook', begin=3, steps=1)]\n"
    )
    result = launch(config, mini, tmp_path / 'poisoned')
    assert re.search('going back to .*epoch_1.pth', result.stdout + result.stderr)
    assert len([loss for loss in losses_of(result) if loss > 0]) == 4


@pytest.mark.parametrize(
    'installed, launcher, stage, sentence',
    [
        ([], 'pytorch', 2, "not installed: pip install 'deepspeed<0.19'"),
        (['deepspeed'], 'pytorch', 2, 'does not know this DeepSpeed'),
        (['deepspeed', 'deepspeed.runtime.fp16.onebit'], 'none', 2, 'dist_train.sh CONFIG 1'),
        (['deepspeed', 'deepspeed.runtime.fp16.onebit'], 'pytorch', 3, 'take stage 2'),
    ],
)
def test_deepspeed_and_what_it_wants(installed, launcher, stage, sentence, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: name in installed or None)
    cfg = load_config(str(SELFSUP / 'um_mae_swin_l_deepspeed.py'))
    cfg.launcher, cfg.strategy.zero_optimization.stage = launcher, stage
    with pytest.raises(InputError, match=sentence):
        fit_deepspeed(cfg)


def test_deepspeed_gets_batch_steps_and_precision(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: True)
    monkeypatch.setenv('DS_ACCELERATOR', 'cpu')
    cfg = load_config(str(SELFSUP / 'um_mae_swin_l_deepspeed.py'))
    cfg.launcher = 'slurm'
    monkeypatch.setenv('WORLD_SIZE', '8')
    set_global_batch(cfg, 4096)
    set_amp(cfg)
    fit_deepspeed(cfg)
    strategy, images = cfg.strategy, cfg.train_dataloader.batch_size
    assert strategy.train_micro_batch_size_per_gpu == images
    assert strategy.gradient_accumulation_steps * images * 8 == 4096
    assert (
        strategy.config.torch_autocast.dtype == 'bfloat16'
        and 'accumulative_counts' not in cfg.optim_wrapper
    )


@pytest.mark.distributed
def test_two_ranks_have_the_losses_of_one(tmp_path):
    """The same global batch on one rank and on two (gloo): the same losses, step by step."""
    run_tool(
        'tools/benchmark.py',
        'scaling',
        '--ranks',
        1,
        2,
        '--strategies',
        'ddp',
        '--batch',
        2,
        '--steps',
        1,
        '--out',
        tmp_path / 'scaling.json',
    )
    one, two = json.loads((tmp_path / 'scaling.json').read_text())['runs']
    assert len(one['losses']) == 2 and one['losses'] == pytest.approx(two['losses'], rel=1e-5)
    assert two['mb_per_rank'] > 100 and two['efficiency'] > 0


def test_global_batch():
    cfg = load_config(str(SELFSUP / 'um_mae_swin_l.py'))
    set_global_batch(cfg, 4096)
    assert cfg.optim_wrapper.accumulative_counts == 32  # 1 rank x 128 images
    with pytest.raises(InputError, match='--global-batch 1000 is no multiple of the 128 images'):
        set_global_batch(cfg, 1000)


def test_benchmark_compare(tmp_path):
    out = tmp_path / 'compare.json'
    result = run_tool(
        'tools/benchmark.py',
        'compare',
        '--methods',
        'um_mae',
        'simmim_mmpretrain',
        '--batch',
        1,
        '--repeats',
        1,
        '--steps',
        1,
        '--out',
        out,
    )
    found = json.loads(out.read_text())
    assert (
        set(found['methods']) == {'um_mae', 'simmim_mmpretrain'} and found['provenance']['hardware']
    )
    ours, theirs = found['methods'].values()
    assert (
        ours['gflop'] < 0.6 * theirs['gflop']
        and ours['activation_mb'] < 0.5 * theirs['activation_mb']
    )
    assert (
        100 < ours['peak_mb'] < theirs['peak_mb'] * 1.5
        and ours['times_simmim_mmpretrain']['median'] > 0
    )
    assert out.with_suffix('.md').read_text().strip() in result.stdout


def test_benchmark_profile(tmp_path):
    """Every operator has its kind, and the kinds are the time that the profiler saw."""
    report = []
    found = profile.measure(['um_mae'], 'T', 1, 256, 'float32', 1, report.append)
    ours = found['methods']['um_mae']
    total = sum(ours['kinds'].values())
    assert 0.8 * total < sum(ours['operators'].values()) <= total * 1.001  # the longest are listed
    assert all(
        ours['kinds'][kind] > 0
        for kind in ('products', 'attention', 'norms', 'gelu', 'optimizer', 'lookups', 'copies')
    )
    assert ours['kinds']['products'] == max(ours['kinds'].values()) and found['product_flops'] > 1e9
    found['provenance'] = provenance()
    text = profile.table(found)
    assert (
        '| matrix products, convolutions |' in text
        and f'{ours["flop"] / 1e9:.0f} GFLOP a step' in text
    )


@pytest.mark.parametrize(
    'operator, kind',
    [
        ('aten::addmm', 'products'),
        ('aten::baddbmm', 'products'),
        ('aten::mkldnn_convolution', 'products'),
        ('aten::_softmax_backward_data', 'attention'),
        ('aten::native_layer_norm', 'norms'),
        ('aten::gelu_backward', 'gelu'),
        ('aten::_fused_adamw_', 'optimizer'),
        ('aten::scatter_add_', 'lookups'),
        ('aten::copy_', 'copies'),
        ('aten::sum', 'sums'),
        ('aten::add_', 'arithmetic'),
        ('aten::empty', 'rest'),
        ('aten::select', 'rest'),
        ('aten::expand', 'rest'),
        ('autograd::engine::evaluate_function: MmBackward0', 'rest'),
    ],
)
def test_kinds_of_operators(operator, kind):
    assert profile.kind_of(operator) == kind


def test_benchmark_data(tmp_path):
    model = tmp_path / 'model.json'
    model.write_text(json.dumps(dict(methods=dict(um_mae=dict(images_per_second=1.0)))))
    result = run_tool(
        'tools/benchmark.py',
        'data',
        '--images',
        8,
        '--repeats',
        1,
        '--workers',
        1,
        '--model',
        model,
        '--out',
        tmp_path / 'data.json',
    )
    rates = json.loads((tmp_path / 'data.json').read_text())['rates']
    assert len(rates) == 2 * 3 and all(rate['images_per_second'] > 0 for rate in rates)
    assert 'the model is the bottleneck' in result.stdout


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['compare', '--dtype', 'float16'], 'float16 training is for GPUs'),
        (['compare', '--image-size', '100'], '--image-size 100 should be a multiple of 64'),
        (['compare', '--batch', '0'], '--batch 0 should be positive'),
        (['scaling', '--ranks', '1000'], '--ranks 1000: this machine has'),
        (
            ['data', '--model', str(ROOT / 'docs' / 'results' / 'demo.json')],
            'is no result of `compare`',
        ),
        (['data', '--out', 'x.txt'], '--out x.txt should end in .json'),
    ],
)
def test_benchmark_with_bad_arguments(arguments, sentence, monkeypatch, capsys):
    if 'float16' in arguments and torch.cuda.is_available():
        pytest.skip('a GPU has float16')
    monkeypatch.setattr('sys.argv', ['benchmark.py', *arguments])
    main = runpy.run_path(str(ROOT / 'tools' / 'benchmark.py'))['main']
    with pytest.raises(SystemExit):
        run_command(main)
    assert re.search(f'^error: .*{sentence}', capsys.readouterr().err)


def test_slurm_launcher(tmp_path):
    """What slurm is asked for, of a stand-in that prints it."""
    (tmp_path / 'srun').write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / 'srun').chmod(0o755)
    path = f'{tmp_path}:{os.environ["PATH"]}'
    asked = run_tool(
        'tools/slurm_train.sh',
        'gpu',
        'swin',
        'configs/x.py',
        '--amp',
        '--resume',
        GPUS='16',
        PATH=path,
    ).stdout
    assert (
        '-p gpu --job-name=swin --gres=gpu:8 --ntasks=16 --ntasks-per-node=8' in asked
        and '--signal=USR1@120' in asked
    )
    assert asked.split()[-6:] == [
        'tools/train.py',
        'configs/x.py',
        '--launcher',
        'slurm',
        '--amp',
        '--resume',
    ]
    assert (
        '--ntasks=4 --ntasks-per-node=4'
        in run_tool('tools/slurm_train.sh', 'p', 'j', 'c', GPUS='4', PATH=path).stdout
    )
