"""torch.compile of what repeats: the blocks."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from mmum.errors import InputError
from mmum.models.layers import TransformerBlock
from mmum.models.um_pvt import PVTBlock
from mmum.models.um_swin import SwinBlock

BLOCKS = (SwinBlock, PVTBlock, TransformerBlock)


@HOOKS.register_module()
class CompileBlocksHook(Hook):
    """Compile the blocks of encoder and decoder; what is equal in all of them is compiled once.

    Names of parameters stay as they are. The first steps take minutes, so it pays on a GPU and in
    long runs.

    Args:
        **options: Options of ``torch.compile``, for example ``mode='max-autotune'``. ``dynamic``
            defaults to False: sizes stay.

    Raises:
        InputError: If the model has no blocks of mmum.
    """

    def __init__(self, **options: Any) -> None:
        self.options = {'dynamic': False, **options}

    def before_train(self, runner: Any) -> None:
        """Compile the blocks."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        blocks = [module for module in model.modules() if isinstance(module, BLOCKS)]
        if not blocks:
            raise InputError(
                f'{type(model).__name__} has no blocks of mmum to compile: leave '
                '--compile (CompileBlocksHook) out'
            )
        # One graph per kind of block in every stage, shifted or not: torch would stop at 8.
        config = torch._dynamo.config
        config.recompile_limit = max(64, config.recompile_limit)
        for block in blocks:
            block.compile(**self.options)
        print_log(
            f'torch.compile: {len(blocks)} blocks; the first steps take their time', 'current'
        )
