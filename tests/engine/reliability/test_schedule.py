"""The schedule of the config holds: after a resume, and where an epoch has few steps."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.optim import (
    CosineAnnealingLR,
    LinearLR,
    LinearMomentum,
    MultiStepLR,
    OptimWrapper,
)

from mmum.engine.reliability import schedule
from mmum.engine.reliability.schedule import drop_short_warmups, follow_config
from mmum.errors import InputError


def run_of(epochs, epoch_length=5, eta_min=0.0, lr=1.0, groups=2, **settings):
    """A runner's optimiser and schedule, at its first step; its groups differ in learning rate."""
    rates = [lr / 2**i for i in range(groups)]
    parameters = [dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=rate) for rate in rates]
    optimizer = OptimWrapper(torch.optim.AdamW(parameters, lr=lr, **settings))
    steps = epochs * epoch_length
    schedulers = [
        LinearLR(optimizer, start_factor=0.1, by_epoch=False, begin=0, end=4),
        CosineAnnealingLR(
            optimizer, T_max=steps - 4, eta_min=eta_min, by_epoch=False, begin=4, end=steps
        ),
        MultiStepLR(optimizer, milestones=[1], gamma=0.5, by_epoch=True),
    ]
    return SimpleNamespace(
        param_schedulers=schedulers,
        optim_wrapper=optimizer,
        train_dataloader=range(epoch_length),
    )


def advance(runner, first, last):
    """Learning rates of every step, as ParamSchedulerHook sets them; the last is for the log."""
    rates = []
    for step in range(first, last):
        rates.append([group['lr'] for group in runner.optim_wrapper.param_groups])
        for scheduler in runner.param_schedulers:
            if not scheduler.by_epoch or (step + 1) % len(runner.train_dataloader) == 0:
                scheduler.step()
    return rates


def checkpoint_of(runner, done):
    return dict(
        meta=dict(iter=done),
        optimizer=copy.deepcopy(runner.optim_wrapper.state_dict()),
        param_schedulers=[scheduler.state_dict() for scheduler in runner.param_schedulers],
    )


def restore(runner, checkpoint):
    """As mmengine's Runner.resume does."""
    runner.optim_wrapper.load_state_dict(copy.deepcopy(checkpoint['optimizer']))
    for scheduler, state in zip(runner.param_schedulers, checkpoint['param_schedulers']):
        scheduler.load_state_dict(state)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('eta_min', [0.0, 0.01])
@pytest.mark.parametrize('done', [1, 7, 10])
def test_more_epochs_than_the_checkpoint(done, eta_min, monkeypatch):
    """From the same step on the rates of a run that had the new schedule all along."""
    said = []
    monkeypatch.setattr(schedule, 'print_log', lambda text, *_: said.append(text))
    short = run_of(2, eta_min=eta_min)
    advance(short, 0, done)
    checkpoint = checkpoint_of(short, done)
    longer = run_of(4, eta_min=eta_min)
    follow_config(longer, checkpoint)
    restore(longer, checkpoint)
    straight = advance(run_of(4, eta_min=eta_min), 0, 20)
    np.testing.assert_allclose(advance(longer, done, 20), straight[done:], rtol=1e-12)
    assert 'T_max 6 -> 16' in said[0] and f'from iteration {done}' in said[0]


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('done', [1, 3, 7])
def test_another_learning_rate_than_in_the_checkpoint(done, monkeypatch):
    """As "lower the learning rate" asks for; also of a run that rolls back to that checkpoint."""
    said = []
    monkeypatch.setattr(schedule, 'print_log', lambda text, *_: said.append(text))
    old = run_of(2, weight_decay=0.05)
    advance(old, 0, done)
    checkpoint = checkpoint_of(old, done)
    new = dict(lr=0.25, weight_decay=0.1, betas=(0.9, 0.95))
    resumed = run_of(2, **new)
    straight = advance(run_of(2, **new), 0, 10)
    for _ in range(2):
        read = copy.deepcopy(checkpoint)
        follow_config(resumed, read)
        restore(resumed, read)
        np.testing.assert_allclose(advance(resumed, done, 10), straight[done:], rtol=1e-12)
        for group in resumed.optim_wrapper.optimizer.param_groups:
            assert group['weight_decay'] == 0.1 and group['betas'] == (0.9, 0.95)
        assert 'lr 1.0 -> 0.25' in said[-1] and 'weight_decay 0.05 -> 0.1' in said[-1]


@pytest.mark.filterwarnings('ignore')
def test_another_optimiser_and_other_groups_of_parameters():
    checkpoint = checkpoint_of(run_of(2), 0)
    other = run_of(2)
    other.optim_wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1))
    sentence = (
        'is of an optimiser with lr, .*, and that of the config has lr, weight_decay, momentum'
    )
    with pytest.raises(InputError, match=sentence):
        follow_config(other, checkpoint)
    with pytest.raises(InputError, match='has groups of 1, 1 parameters, and .* of 1, 1, 1: '):
        follow_config(run_of(2, groups=3), checkpoint)


@pytest.mark.filterwarnings('ignore')
def test_a_schedule_of_momentum_that_is_gone(monkeypatch):
    """It leaves a momentum beside the betas, and the optimiser is the same."""
    said = []
    monkeypatch.setattr(schedule, 'print_log', lambda text, *_: said.append(text))
    old = run_of(2)
    momentum = LinearMomentum(old.optim_wrapper, start_factor=0.5, by_epoch=False, end=4)
    old.param_schedulers.append(momentum)
    follow_config(run_of(2), checkpoint_of(old, 1))
    assert '4 parts -> 3' in said[0]


@pytest.mark.filterwarnings('ignore')
def test_the_same_schedule_is_left_alone(monkeypatch):
    monkeypatch.setattr(schedule, 'print_log', lambda *_: pytest.fail('a warning'))
    runner = run_of(2)
    advance(runner, 0, 3)
    checkpoint = checkpoint_of(runner, 3)
    before = str(checkpoint)
    follow_config(run_of(2), checkpoint)
    assert str(checkpoint) == before


@pytest.mark.parametrize('end, kept', [(0.1, False), (0.3, False), (0.4, True), (1, True)])
def test_a_warm_up_of_one_step_is_left_out(end, kept):
    """mmengine would train with its first rate, a ten-thousandth, to the end."""
    warm_up = dict(type='LinearLR', by_epoch=True, begin=0, end=end, convert_to_iter_based=True)
    rest = dict(type='CosineAnnealingLR', begin=end, end=2, T_max=2, by_epoch=True)
    expected = [warm_up, rest] if kept else [rest]
    assert drop_short_warmups([warm_up, rest], epoch_length=5) == expected
    in_steps = dict(type='LinearLR', by_epoch=False, begin=0, end=1000)
    assert drop_short_warmups([in_steps], epoch_length=1) == [in_steps]
    assert drop_short_warmups(None, 5) is None
