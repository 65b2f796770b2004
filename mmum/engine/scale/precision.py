"""Mixed precision where mmengine's own wrapper refuses it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import autocast
from torch import Tensor, nn
from torch.utils._pytree import tree_map


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Autocast in bfloat16 on any device, without loss scaling.

    mmengine's ``AmpOptimWrapper`` refuses a CPU.

    Args:
        **kwargs: Arguments of ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast inside."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


@OPTIM_WRAPPERS.register_module()
class BFloat16DetectorOptimWrapper(OptimWrapper):
    """Autocast backbone, neck and heads of a detector in bfloat16, each apart, on any device.

    What they hand on is float32: mmcv's operators know no bfloat16, and mmdet casts boxes to the
    type of the features, whose 8 bits would round a coordinate of 1000 to 4 px. So proposals,
    targets, RoIAlign, NMS and losses stay as they are, and convolutions and products are in
    bfloat16, which needs no loss scaling.

    Args:
        **kwargs: Arguments of ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast the parts inside."""
        running: list[AbstractContextManager[None]] = []

        def enter(module: nn.Module, inputs: Any) -> None:
            running.append(autocast(dtype=torch.bfloat16))
            running[-1].__enter__()

        def leave(module: nn.Module, inputs: Any, outputs: Any) -> Any:
            running.pop().__exit__(None, None, None)
            return tree_map(_as_float32, outputs)

        handles = []
        for part in parts_of(getattr(model, 'module', model)):
            handles.append(part.register_forward_pre_hook(enter))
            handles.append(part.register_forward_hook(leave, always_call=True))
        try:
            with super().optim_context(model):
                yield
        finally:
            for handle in handles:
                handle.remove()


def parts_of(detector: nn.Module) -> list[nn.Module]:
    """Backbone, neck and heads of a detector of mmdet, none inside another."""
    from mmdet.models.roi_heads.base_roi_head import BaseRoIHead  # mmdet is optional

    names: list[str] = []
    for name, module in detector.named_modules():
        head = type(module).__name__.endswith('Head') and not isinstance(module, BaseRoIHead)
        inside = any(name.startswith(f'{outer}.') for outer in names)
        if (name in ('backbone', 'neck') or head) and not inside:
            names.append(name)
    return [detector.get_submodule(name) for name in names]


def _as_float32(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype == torch.bfloat16
    return value.float() if half else value


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (AVX512-BF16 or AMX).

    Without, autocast would be slower than float32.
    """
    # absent from older versions of torch
    checks = ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    return any(getattr(torch.cpu, check, bool)() for check in checks)
