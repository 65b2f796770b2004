"""DeepSpeed's ZeRO under mmengine's strategy: what the strategy leaves to its config is taken from the rest of the config."""
import importlib.util
import os

import torch
from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper, DeepSpeedStrategy
from mmengine.config import ConfigDict
from mmengine.registry import OPTIM_WRAPPERS, STRATEGIES

from mmum.errors import InputError

# mmengine 0.10 imports a module that 0.19 no longer has
INSTALL = "pip install 'deepspeed<0.19'"


@STRATEGIES.register_module()
class ZeROStrategy(DeepSpeedStrategy):
    """mmengine's ``DeepSpeedStrategy``, which gets plain dicts: DeepSpeed writes them into checkpoints, and whoever reads those
    would need mmengine's classes for configs.

    Args:
        **kwargs: Of ``DeepSpeedStrategy``.
    """

    def __init__(self, **kwargs):
        super().__init__(**{key: value.to_dict() if isinstance(value, ConfigDict) else value for key, value in kwargs.items()})


@OPTIM_WRAPPERS.register_module()
class ZeROOptimWrapper(DeepSpeedOptimWrapper):
    """mmengine's ``DeepSpeedOptimWrapper`` with what the guards of a training ask of every wrapper.

    Args:
        optimizer (torch.optim.Optimizer): DeepSpeed puts its own around it.
    """

    @torch.no_grad()  # gloo writes into views of the weights, which a CPU allows so only
    def step(self, **kwargs):
        """Updates the weights after the last of the accumulated steps."""
        super().step(**kwargs)

    def should_update(self):
        """Whether the step that was made last was the last of the accumulated ones."""
        return self.model.micro_steps % self.model.gradient_accumulation_steps() == 0

    def zero_grad(self, **kwargs):
        """DeepSpeed does it in its step."""

    def initialize_count_status(self, model, init_counts, max_counts):
        """DeepSpeed counts itself."""


def uses_deepspeed(cfg):
    """Whether the config trains with DeepSpeed."""
    return (cfg.get('strategy') or {}).get('type') == 'DeepSpeedStrategy'


def set_deepspeed(cfg, amp=False):
    """Tells DeepSpeed the batch size, the accumulated steps and the precision of the run.

    Args:
        cfg (Config): With ``strategy=dict(type='DeepSpeedStrategy', ...)``.
        amp (bool): bfloat16 autocast, with gradients summed in float32. Defaults to False.

    Raises:
        InputError: If DeepSpeed is not there, is one that mmengine does not know, is to shard weights (stage 3), or there is no
            launcher.
    """
    if importlib.util.find_spec('deepspeed') is None:
        raise InputError(f'this config needs DeepSpeed, which is not installed: {INSTALL}')
    if importlib.util.find_spec('deepspeed.runtime.fp16.onebit') is None:
        raise InputError(f"mmengine's strategy does not know this DeepSpeed: {INSTALL}")
    if cfg.launcher == 'none':
        raise InputError('DeepSpeed wants a launcher, also for one GPU: bash tools/dist_train.sh CONFIG 1')
    if cfg.strategy.get('zero_optimization', {}).get('stage') == 3:
        raise InputError('ZeRO-3 leaves checkpoints in pieces that no other tool reads: take stage 2, or FSDP '
                         '(um_mae_swin_l_fsdp.py), which shards weights too')
    wrapper = cfg.optim_wrapper
    cfg.strategy.type, wrapper.type = 'ZeROStrategy', 'ZeROOptimWrapper'
    cfg.strategy.train_micro_batch_size_per_gpu = cfg.train_dataloader.batch_size
    cfg.strategy.gradient_accumulation_steps = wrapper.pop('accumulative_counts', 1)
    if (wrapper.pop('clip_grad', None) or {}).get('max_norm'):
        raise InputError('DeepSpeed clips gradients itself: set strategy.gradient_clipping in place of optim_wrapper.clip_grad')
    if amp:
        settings = cfg.strategy.get('config') or {}
        # no modules whose gradients would be summed in bfloat16
        settings['torch_autocast'] = dict(enabled=True, dtype='bfloat16', lower_precision_safe_modules=[])
        cfg.strategy.config = settings
    if not torch.cuda.is_available():
        os.environ.setdefault('DS_ACCELERATOR', 'cpu')
