"""The schedule of the config holds: after a resume, and where an epoch has few steps."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, LinearLR, MultiStepLR, OptimWrapper

from mmum.engine.reliability import schedule
from mmum.engine.reliability.schedule import drop_short_warmups, follow_config


def run_of(epochs, epoch_length=5, eta_min=0.0):
    """A runner's optimiser and schedule, at its first step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
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
        optim_wrapper=OptimWrapper(optimizer),
        train_dataloader=range(epoch_length),
    )


def advance(runner, first, last):
    """Learning rate of every step, as ParamSchedulerHook sets them."""
    rates = []
    for step in range(first, last):
        rates.append(runner.optim_wrapper.param_groups[0]['lr'])
        for scheduler in runner.param_schedulers:
            if not scheduler.by_epoch or (step + 1) % len(runner.train_dataloader) == 0:
                scheduler.step()
    return rates


def checkpoint_of(runner, done):
    return dict(
        meta=dict(iter=done),
        optimizer=runner.optim_wrapper.optimizer.state_dict(),
        param_schedulers=[scheduler.state_dict() for scheduler in runner.param_schedulers],
    )


def restore(runner, checkpoint):
    """As mmengine's Runner.resume does."""
    runner.optim_wrapper.optimizer.load_state_dict(checkpoint['optimizer'])
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
    assert advance(longer, done, 20) == pytest.approx(straight[done:])
    assert 'T_max 6 -> 16' in said[0] and f'from iteration {done}' in said[0]


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
