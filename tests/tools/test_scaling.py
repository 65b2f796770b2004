"""More ranks, sharded or not, are the same training."""

import importlib.util
import json
import os
import re

import pytest
import torch
from mmengine.config import Config

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.engine.config import load_config
from mmum.engine.config.options import set_amp, set_global_batch
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
    # and it resumes exactly
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
