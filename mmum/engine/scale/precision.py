"""Mixed precision where mmengine's own wrapper refuses."""
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import autocast


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Autocast in bfloat16 on any device, without loss scaling; ``AmpOptimWrapper`` refuses a CPU.

    Args:
        **kwargs: Those of :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def cpu_has_bfloat16():
    """Whether this CPU multiplies bfloat16 natively (AVX512-BF16 or AMX); without, autocast would be slower."""
    checks = ('_is_avx512_bf16_supported', '_is_amx_tile_supported')  # absent from older versions of torch
    return any(getattr(torch.cpu, check, bool)() for check in checks)
