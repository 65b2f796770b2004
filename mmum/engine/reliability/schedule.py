"""Follow the schedule of the config, also after a resume and where an epoch has few steps."""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log

from mmum.errors import InputError, preview

# What a config sets of an optimiser.
OPTIMISER = ('lr', 'weight_decay', 'betas', 'momentum', 'eps')
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
    """Resume with learning rate, weight decay and schedule of the config.

    mmengine restores those of the checkpoint, so that a run resumed with a lower learning rate
    would keep the old one, and one resumed with more epochs would stay at its last. The config's
    schedule is replayed up to the step of the checkpoint instead, and a warning says what differs.

    Args:
        runner (Runner): The runner, before the states of the checkpoint are restored.
        checkpoint (dict): Its content, changed in place.

    Raises:
        InputError: If the checkpoint is of another optimiser, or of other groups of parameters.
    """
    schedulers, states = runner.param_schedulers, checkpoint.get('param_schedulers')
    if not isinstance(schedulers, list) or not isinstance(states, list):
        return
    groups = _pair_groups(checkpoint.get('optimizer'), runner.optim_wrapper)
    scheduled = {scheduler.param_name for scheduler in schedulers}
    own = [name for name in OPTIMISER if name not in scheduled]
    if 'momentum' in scheduled:  # which is the first of the betas
        own = [name for name in own if name != 'betas']
    settings = [*(f'initial_{name}' for name in sorted(scheduled)), *own]
    differences = [*_other_settings(groups, settings), *_other_schedule(schedulers, states)]
    if not differences:
        return
    done, epoch_length = checkpoint['meta']['iter'], len(runner.train_dataloader)
    print_log(
        'optimiser or schedule of the config differ from those of the checkpoint '
        f"({', '.join(dict.fromkeys(differences))}): training follows the config's from iteration "
        f'{done}',
        'current',
        logging.WARNING,
    )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch misses the steps of the optimiser
        _restart(schedulers)
        for step in range(done):
            for scheduler in schedulers:
                if not scheduler.by_epoch or (step + 1) % epoch_length == 0:
                    scheduler.step()
    checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]
    for before, now in groups:
        before.update({key: now[key] for key in (*settings, *scheduled) if key in now})


def _pair_groups(saved: Any, wrapper: Any) -> list[tuple[Any, Any]]:
    """Pair the parameter groups of a checkpoint with those of the optimiser."""
    before = saved.get('param_groups') if isinstance(saved, dict) else None
    if not before:  # of several optimisers, or none
        return []
    now = wrapper.optimizer.param_groups
    kinds = [_settings_of(groups[0]) for groups in (before, now)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f'the checkpoint is of an optimiser with {", ".join(kinds[0])}, and that of the config '
            f'has {", ".join(kinds[1])}: resume with the optimizer of the checkpoint, or start a '
            'new run from its weights by load_from'
        )
    sizes = [[len(group['params']) for group in groups] for groups in (before, now)]
    # FSDP saves the names of parameters, of which it makes flat ones.
    numbered = all(isinstance(number, int) for group in before for number in group['params'])
    if len(before) != len(now) or (numbered and sizes[0] != sizes[1]):
        raise InputError(
            f'the optimiser of the checkpoint has groups of {preview(sizes[0])} parameters, and '
            f'that of the config of {preview(sizes[1])}: resume with the paramwise_cfg and '
            'frozen_stages of the checkpoint, or start a new run from its weights by load_from'
        )
    pairs = list(zip(before, now, strict=True))
    base = saved.get('base_param_settings'), wrapper.base_param_settings  # for the log alone
    return [*pairs, base] if all(base) else pairs


def _settings_of(group: Any) -> list[str]:
    """Names of the settings of a group; a schedule of momentum adds one to the betas."""
    names = [name for name in OPTIMISER if name in group]
    return [name for name in names if name != 'momentum' or 'betas' not in group]


def _restart(schedulers: list[Any]) -> None:
    """Set schedulers to their first step; after a roll-back they are somewhere else."""
    for scheduler in schedulers:
        name = scheduler.param_name
        for group in scheduler.optimizer.param_groups:
            group[name] = group[f'initial_{name}']
    for scheduler in schedulers:
        scheduler.last_step = scheduler._global_step = -1
        scheduler.step()


def _other_settings(groups: list[tuple[Any, Any]], names: list[str]) -> list[str]:
    """Settings of the optimiser that differ, as text: ``lr 0.001 -> 0.0005``."""
    found = []
    for name in names:
        pairs = [(old[name], new[name]) for old, new in groups if name in old and name in new]
        other = [(old, new) for old, new in pairs if _plain(old) != _plain(new)]
        found += [f'{name.removeprefix("initial_")} {old} -> {new}' for old, new in other[-1:]]
    return found


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _other_schedule(schedulers: list[Any], states: list[Any]) -> list[str]:
    """Settings of the schedule that differ, as text: ``T_max 12 -> 24``."""
    if len(schedulers) != len(states):
        return [f'{len(states)} parts -> {len(schedulers)}']
    found = []
    for scheduler, state in zip(schedulers, states):
        own = scheduler.state_dict()
        for key in sorted((set(own) | set(state)) - set(PROGRESS)):
            if own.get(key) != state.get(key):
                found.append(f'{key.strip("_")} {state.get(key)} -> {own.get(key)}')
    return found
