"""The one memory trick: a matrix product keeps the input of the norm or GELU before it.

Autograd keeps two tensors for ``linear(norm(x))``: ``x`` for the norm and its output for the
product. The output is cheap to compute again, so :func:`recompute_linear` keeps only ``x`` and
repeats the norm in the backward. Norm and product therefore have to be one operation, which is why
a block hands its norm along to the layer behind it instead of calling the norm itself.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _RecomputeLinear(torch.autograd.Function):
    """See :func:`recompute_linear`."""

    @staticmethod
    def forward(
        ctx: Any,
        fn: Callable[..., Tensor],
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *parameters: Tensor,
    ) -> Tensor:
        device = x.device.type
        ctx.fn, ctx.autocast = (
            fn,
            dict(
                device_type=device,
                dtype=torch.get_autocast_dtype(device),
                enabled=torch.is_autocast_enabled(device),
            ),
        )
        y = fn(x, *parameters)
        # Cast here as autocast would, and once: the backward multiplies with the same copy.
        dtype = ctx.autocast['dtype'] if ctx.autocast['enabled'] else y.dtype
        weight_cast = weight.to(dtype)
        ctx.save_for_backward(x, weight_cast, *parameters)
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        return F.linear(y.to(dtype), weight_cast, None if bias is None else bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_cast, *parameters = ctx.saved_tensors
        x_needs_grad, weight_needs_grad, bias_needs_grad, *others_need_grad = ctx.needs_input_grad[
            1:
        ]
        grads: list[Tensor | None] = [None] * (1 + len(parameters))
        needed = (x_needs_grad, *others_need_grad)
        inputs = [
            tensor.detach().requires_grad_(needs) for tensor, needs in zip((x, *parameters), needed)
        ]
        with torch.enable_grad(), torch.autocast(**ctx.autocast):
            y = ctx.fn(*inputs)
        rows = grad.flatten(0, -2)
        weight_grad = bias_grad = None
        if weight_needs_grad:
            weight_grad = (rows.t() @ y.detach().to(weight_cast.dtype).flatten(0, -2)).to(
                ctx.dtypes[0]
            )
        if bias_needs_grad:
            bias_grad = rows.sum(0).to(ctx.dtypes[1])
        if y.requires_grad:
            learning = [i for i, tensor in enumerate(inputs) if tensor.requires_grad]
            y_grad = (rows @ weight_cast).view(y.shape).to(y.dtype)
            input_grads = torch.autograd.grad(y, [inputs[i] for i in learning], y_grad)
            for i, input_grad in zip(learning, input_grads):
                grads[i] = input_grad
        return None, grads[0], weight_grad, bias_grad, *grads[1:]


def recompute_linear(
    fn: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None, *parameters: Tensor
) -> Tensor:
    """Compute ``F.linear(fn(x, *parameters), weight, bias)`` and keep only x for the backward.

    The backward repeats ``fn``, but neither the product nor the cast of its weight.

    Args:
        fn (Callable): Function of x and the parameters: cheap, differentiable, without randomness.
        x (Tensor): Input of ``fn``, of shape (..., C).
        weight (Tensor): Weight of the product, (out, in).
        bias (Tensor | None): Bias of the product, (out, ).
        *parameters (Tensor): Whatever else in ``fn`` learns. A gradient can only be returned for
            tensors that were passed in.

    Returns:
        Tensor: (..., out).
    """
    # A compiler decides itself what to repeat, and inference (also for an exporter) stays plain.
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return F.linear(fn(x, *parameters), weight, bias)
    return _RecomputeLinear.apply(fn, x, weight, bias, *parameters)


def norm_linear(
    norm: nn.LayerNorm,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    between: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Compute ``F.linear(between(norm(x)), weight, bias)`` and keep only x for the backward.

    Args:
        norm (nn.LayerNorm): The norm.
        x (Tensor): (..., C).
        weight (Tensor): Weight of the product, (out, in).
        bias (Tensor | None): Bias of the product, (out, ).
        between (Callable, optional): Cheap function without parameters that is applied to the
            output of the norm. Defaults to None: the identity.

    Returns:
        Tensor: (..., out).
    """

    def fn(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        x = F.layer_norm(x, norm.normalized_shape, scale, shift, norm.eps)
        return x if between is None else between(x)

    return recompute_linear(fn, x, weight, bias, norm.weight, norm.bias)
