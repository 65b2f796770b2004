"""What FSDP shards by itself."""
from mmengine.registry import FUNCTIONS

from mmum.engine.compile import BLOCKS


@FUNCTIONS.register_module()
def wrap_blocks(module, recurse, nonwrapped_numel):
    """``auto_wrap_policy`` of FSDP: every block of encoder and decoder is gathered and freed by itself."""
    return recurse or isinstance(module, BLOCKS)
