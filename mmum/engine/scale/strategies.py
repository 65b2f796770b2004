"""Sharding over ranks: FSDP, ZeRO-1, and DeepSpeed's ZeRO-2, under mmengine's strategies."""

import importlib.util
import os
from typing import Any

import torch
from mmengine._strategy import FSDPStrategy
from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper, DeepSpeedStrategy
from mmengine.config import Config, ConfigDict
from mmengine.optim import ZeroRedundancyOptimizer
from mmengine.registry import FUNCTIONS, OPTIM_WRAPPERS, OPTIMIZERS, STRATEGIES
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.optim import ZeroRedundancyOptimizer as TorchZeroRedundancyOptimizer

from mmum.engine.scale.compile import BLOCKS
from mmum.errors import InputError

# mmengine 0.10 imports a module that 0.19 no longer has.
INSTALL_DEEPSPEED = "pip install 'deepspeed<0.19'"


@FUNCTIONS.register_module()
def wrap_blocks(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """``auto_wrap_policy`` of FSDP: gather and free every block by itself."""
    return recurse or isinstance(module, BLOCKS)


@STRATEGIES.register_module()
class ResumableFSDPStrategy(FSDPStrategy):
    """mmengine's ``FSDPStrategy``, whose optimiser resumes too.

    mmengine gives torch the arguments in the order of torch 2.0.

    Args:
        **kwargs: Arguments of ``FSDPStrategy``.
    """

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        """Wrap a model. Sharded parameters are flat, so they keep a note of their dimensions."""
        dimensions = [parameter.dim() for parameter in model.parameters()]
        wrapped = super()._wrap_model(model)
        for parameter, number in zip(wrapped.parameters(), dimensions, strict=True):
            parameter.dimensions = number  # for mmum.engine.layer_decay.decays
        return wrapped

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give every rank its share of the whole state."""
        self.optim_wrapper.load_state_dict(
            FullyShardedDataParallel.optim_state_dict_to_load(
                self.model, self.optim_wrapper.optimizer, state_dict
            )
        )


@OPTIMIZERS.register_module()
class ShardedOptimizer(ZeroRedundancyOptimizer):
    """ZeRO-1: mmengine's ``ZeroRedundancyOptimizer``, of which every rank keeps its share.

    mmengine's gathers the moments when its state is asked for, which only the first rank does when
    a checkpoint is saved: it would wait for the others for ever. Here ``AtomicCheckpointHook``
    calls :meth:`gather_state` on all ranks before.

    Args:
        params (Iterable): Parameters or groups of them.
        optimizer_type (str): For example 'AdamW'.
        **kwargs: Arguments of that optimiser.
    """

    def gather_state(self) -> None:
        """Bring the state of all ranks to the first; all ranks have to call it."""
        self.consolidate_state_dict(to=0)

    def state_dict(self) -> dict[str, Any]:
        """State of all ranks on the first, after :meth:`gather_state`."""
        return TorchZeroRedundancyOptimizer.state_dict(self)


@STRATEGIES.register_module()
class ZeROStrategy(DeepSpeedStrategy):
    """mmengine's ``DeepSpeedStrategy`` with plain dicts as settings.

    DeepSpeed writes its settings into checkpoints, and readers of those would need mmengine's
    classes for configs.

    Args:
        **kwargs: Arguments of ``DeepSpeedStrategy``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{
                key: value.to_dict() if isinstance(value, ConfigDict) else value
                for key, value in kwargs.items()
            }
        )


@OPTIM_WRAPPERS.register_module()
class ZeROOptimWrapper(DeepSpeedOptimWrapper):
    """mmengine's ``DeepSpeedOptimWrapper`` with the methods that training asks of every wrapper.

    Args:
        optimizer (torch.optim.Optimizer): The optimiser; DeepSpeed wraps it in its own.
    """

    @torch.no_grad()  # gloo writes into views of the weights, which a CPU allows only so
    def step(self, **kwargs: Any) -> None:
        """Update the weights after the last of the accumulated steps."""
        super().step(**kwargs)

    def should_update(self) -> bool:
        """Whether the step that was made last was the last of the accumulated ones."""
        return self.model.micro_steps % self.model.gradient_accumulation_steps() == 0

    def zero_grad(self, **kwargs: Any) -> None:
        """Do nothing: DeepSpeed does it in its step."""

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Do nothing: DeepSpeed counts itself."""


def uses_deepspeed(cfg: Config) -> bool:
    """Whether a config trains with DeepSpeed."""
    return (cfg.get('strategy') or {}).get('type') in ('DeepSpeedStrategy', 'ZeROStrategy')


def fit_deepspeed(cfg: Config) -> None:
    """Tell DeepSpeed the batch size and the accumulated steps of the run.

    Args:
        cfg (Config): A config that :func:`uses_deepspeed`, changed in place.

    Raises:
        InputError: If DeepSpeed is not there or is one that mmengine does not know, if it is to
            shard weights (stage 3), or if there is no launcher.
    """
    if importlib.util.find_spec('deepspeed') is None:
        raise InputError(
            f'this config needs DeepSpeed, which is not installed: {INSTALL_DEEPSPEED}'
        )
    if importlib.util.find_spec('deepspeed.runtime.fp16.onebit') is None:
        raise InputError(f"mmengine's strategy does not know this DeepSpeed: {INSTALL_DEEPSPEED}")
    if cfg.get('launcher', 'none') == 'none':
        raise InputError(
            'DeepSpeed needs a launcher, also for one GPU: bash tools/dist_train.sh CONFIG 1'
        )
    if cfg.strategy.get('zero_optimization', {}).get('stage') == 3:
        raise InputError(
            'ZeRO-3 leaves checkpoints in pieces that no other tool reads: take stage '
            '2, or FSDP (um_mae_swin_l_fsdp.py), which shards weights too'
        )
    wrapper = cfg.optim_wrapper
    cfg.strategy.type, wrapper.type = 'ZeROStrategy', 'ZeROOptimWrapper'
    cfg.strategy.train_micro_batch_size_per_gpu = cfg.train_dataloader.batch_size
    if 'accumulative_counts' in wrapper or 'gradient_accumulation_steps' not in cfg.strategy:
        steps = wrapper.pop('accumulative_counts', 1)
        cfg.strategy.gradient_accumulation_steps = steps
    if (wrapper.pop('clip_grad', None) or {}).get('max_norm'):
        raise InputError(
            'DeepSpeed clips gradients itself: set strategy.gradient_clipping in place '
            'of optim_wrapper.clip_grad'
        )
    if not torch.cuda.is_available():
        os.environ.setdefault('DS_ACCELERATOR', 'cpu')


def autocast_deepspeed(cfg: Config) -> None:
    """Let DeepSpeed autocast in bfloat16, with gradients summed in float32."""
    settings = cfg.strategy.get('config') or {}
    # no modules whose gradients would be summed in bfloat16
    settings['torch_autocast'] = dict(
        enabled=True, dtype='bfloat16', lower_precision_safe_modules=[]
    )
    cfg.strategy.config = settings
