"""Settings that differ between two configs."""

from typing import Any

from mmum.checkpoints.settings import parse_config

# What a training depends on. An optimiser has its own comparison, when a run is resumed.
TRAINING = ('model', 'data_preprocessor', 'train_dataloader', 'optim_wrapper')
# Keys on which its result does not depend, once it has begun.
WITHOUT_EFFECT = {
    '_scope_',
    'bad_images',
    'init_cfg',
    'num_workers',
    'optimizer',
    'persistent_workers',
    'pin_memory',
    'prefetch_factor',
    'with_cp',
}


def flatten(value: Any, key: str = '') -> dict[str, str]:
    """A nested value as dotted key -> text."""
    if isinstance(value, dict) and value:
        items = value.items()
    elif isinstance(value, (list, tuple)) and any(isinstance(v, dict) for v in value):
        items = enumerate(value)  # type: ignore[assignment]
    else:
        return {key: str(value)} if key else {}
    found = {}
    for name, item in items:
        found.update(flatten(item, f'{key}.{name}' if key else str(name)))
    return found


def other_settings(before: str, now: str) -> list[str]:
    """List the settings of a training that differ, as ``train_dataloader.batch_size 64 -> 32``.

    Args:
        before (str): A config as text, as mmengine saves it with a checkpoint. Nothing in it is
            run.
        now (str): Another one.

    Returns:
        list[str]: One per setting.
    """
    old, new = (flatten(parse_config(text, TRAINING)) for text in (before, now))
    return [
        f'{key} {old.get(key, "absent")} -> {new.get(key, "absent")}'
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key) and not WITHOUT_EFFECT & set(key.split('.'))
    ]
