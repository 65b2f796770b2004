"""Follow the schedule of the config, also after a resume and where an epoch has few steps."""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log

# What a scheduler's state says of its progress; everything else is its settings.
PROGRESS = ('last_step', '_global_step', '_last_value', 'base_values', 'verbose')


def drop_short_warmups(schedule: Any, epoch_length: int) -> Any:
    """Leave out warm-ups of fewer than two steps.

    mmengine would keep the first learning rate of such a warm-up, a tiny one, for the whole
    training, or stop because the warm-up ends where it begins.

    Args:
        schedule (Any): ``param_scheduler`` of a config; anything but a list of dicts is returned as
            it is.
        epoch_length (int): Steps per epoch.

    Returns:
        Any: The schedule without them.
    """
    if not isinstance(schedule, (list, tuple)):
        return schedule
    kept = []
    for entry in schedule:
        if isinstance(entry, Mapping) and str(entry.get('type', '')).endswith('LinearLR'):
            counted_in_steps = entry.get('convert_to_iter_based', False)
            by_epoch = entry.get('by_epoch', True)
            factor = epoch_length if by_epoch and counted_in_steps else 1
            steps = int(entry.get('end', 10**9) * factor) - int(entry.get('begin', 0) * factor)
            if steps < 2 and (counted_in_steps or not by_epoch):
                print_log(f'no warm-up: it would have {max(steps, 0)} steps', 'current')
                continue
        kept.append(entry)
    return kept


def follow_config(runner: Any, checkpoint: dict[str, Any]) -> None:
    """Resume the schedule of the config where the checkpoint has another one.

    mmengine restores the schedule of the checkpoint, so that a run resumed with more epochs would
    stay at its last learning rate. The config's schedule is replayed up to the step of the
    checkpoint instead, and a warning says what differs.

    Args:
        runner (Runner): The runner, before the states of the checkpoint are restored.
        checkpoint (dict): Its content, changed in place.
    """
    schedulers, states = runner.param_schedulers, checkpoint.get('param_schedulers')
    if not isinstance(schedulers, list) or not isinstance(states, list):
        return
    differences = _differences(schedulers, states)
    if not differences:
        return
    done, epoch_length = checkpoint['meta']['iter'], len(runner.train_dataloader)
    print_log(
        f'the schedule of the config differs from that of the checkpoint ({differences}): training '
        f"follows the config's from iteration {done}",
        'current',
        logging.WARNING,
    )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch misses the steps of the optimiser
        for step in range(done):
            for scheduler in schedulers:
                if not scheduler.by_epoch or (step + 1) % epoch_length == 0:
                    scheduler.step()
    checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]
    saved = (checkpoint.get('optimizer') or {}).get('param_groups') or []
    for group, own in zip(saved, runner.optim_wrapper.param_groups):
        group.update({key: own[key] for key in ('lr', 'initial_lr') if key in own})


def _differences(schedulers: list[Any], states: list[Any]) -> str:
    """Settings that differ, as text: ``T_max 12 -> 24``."""
    if len(schedulers) != len(states):
        return f'{len(states)} parts -> {len(schedulers)}'
    found = []
    for scheduler, state in zip(schedulers, states):
        own = scheduler.state_dict()
        for key in sorted((set(own) | set(state)) - set(PROGRESS)):
            if own.get(key) != state.get(key):
                found.append(f'{key.strip("_")} {state.get(key)} -> {own.get(key)}')
    return ', '.join(dict.fromkeys(found))
