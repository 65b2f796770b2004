from .load import load_config
from .prepare import prepare, unwrap_dataset_cfg
from .variables import RUNNER_KEYS, merge_options

__all__ = ['RUNNER_KEYS', 'load_config', 'merge_options', 'prepare', 'unwrap_dataset_cfg']
