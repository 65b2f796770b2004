from .load import load_config
from .prepare import prepare, wrapped_dataset_cfgs
from .variables import RUNNER_KEYS, merge_options

__all__ = ['RUNNER_KEYS', 'load_config', 'merge_options', 'prepare', 'wrapped_dataset_cfgs']
