"""torch.compile of what repeats: the blocks."""
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
    """Compiles the blocks of encoder and decoder: what is equal in all of them is compiled once.

    Names of parameters stay as they are. The first steps take minutes; it pays on a GPU and for long runs.

    Args:
        **options: Of ``torch.compile``, for example ``mode='max-autotune'``. ``dynamic`` defaults to False: sizes stay.

    Raises:
        InputError: If the model has no blocks of mmum.
    """

    def __init__(self, **options):
        self.options = dict(dynamic=False, **options)

    def before_train(self, runner):
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        blocks = [module for module in model.modules() if isinstance(module, BLOCKS)]
        if not blocks:
            raise InputError(f'{type(model).__name__} has no blocks of mmum to compile: leave --compile '
                             '(CompileBlocksHook) out')
        # one graph for every kind of block in every stage, shifted or not: torch would stop at 8
        torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        for block in blocks:
            block.compile(**self.options)
        print_log(f'torch.compile: {len(blocks)} blocks; the first steps take their time', 'current')
