"""Blocks shared by the backbones and the decoder."""
import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import nn
from torch.autograd.function import once_differentiable

from mmum.masking import VISIBLE, gather_units, secondary_patches


class _Lean(torch.autograd.Function):
    """See :func:`recompute_linear`."""

    @staticmethod
    def forward(ctx, cheap, x, weight, bias, *parameters):
        device = x.device.type
        ctx.cheap, ctx.autocast = cheap, dict(
            device_type=device, dtype=torch.get_autocast_dtype(device), enabled=torch.is_autocast_enabled(device))
        y = cheap(x, *parameters)
        # cast here as autocast would, and once: the backward multiplies with the same copy
        dtype = ctx.autocast['dtype'] if ctx.autocast['enabled'] else y.dtype
        product = weight.to(dtype)
        ctx.save_for_backward(x, product, *parameters)
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        return F.linear(y.to(dtype), product, None if bias is None else bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, product, *parameters = ctx.saved_tensors
        of_x, of_weight, of_bias, *of_parameters = ctx.needs_input_grad[1:]
        grads = [None] * (1 + len(parameters))
        inputs = [tensor.detach().requires_grad_(needed)
                  for tensor, needed in zip((x, *parameters), (of_x, *of_parameters))]
        with torch.enable_grad(), torch.autocast(**ctx.autocast):
            y = ctx.cheap(*inputs)
        rows = grad.flatten(0, -2)
        weight_grad = bias_grad = None
        if of_weight:
            weight_grad = (rows.t() @ y.detach().to(product.dtype).flatten(0, -2)).to(ctx.dtypes[0])
        if of_bias:
            bias_grad = rows.sum(0).to(ctx.dtypes[1])
        if y.requires_grad:
            wanted = [i for i, tensor in enumerate(inputs) if tensor.requires_grad]
            found = torch.autograd.grad(y, [inputs[i] for i in wanted], (rows @ product).view(y.shape).to(y.dtype))
            for i, tensor in zip(wanted, found):
                grads[i] = tensor
        return None, grads[0], weight_grad, bias_grad, *grads[1:]


def recompute_linear(cheap, x, weight, bias, *parameters):
    """``F.linear(cheap(x, *parameters), weight, bias)``, of which only x is kept for the backward.

    For what is cheap to repeat before a matrix product (a norm, GELU): the backward repeats it to get the product's input. The
    product is not repeated, nor is the cast of its weight under autocast.

    Args:
        cheap (Callable): Of x and the parameters, differentiable, without randomness.
        x (Tensor): Its input.
        weight (Tensor): (out, in) of the product.
        bias (Tensor | None): (out, ).
        *parameters (Tensor): What else of ``cheap`` learns. They are handed over because a gradient can only be given to what
            was handed over.
    """
    # a compiler decides itself what to repeat, and inference, also for an exporter, is plain
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return F.linear(cheap(x, *parameters), weight, bias)
    return _Lean.apply(cheap, x, weight, bias, *parameters)


def norm_linear(norm, x, weight, bias, between=None):
    """``F.linear(norm(x), weight, bias)``, of which only x is kept for the backward.

    Args:
        norm (nn.LayerNorm): The norm.
        x (Tensor): (..., C).
        weight (Tensor): (out, in) of the product.
        bias (Tensor | None): (out, ).
        between (Callable, optional): What happens to the norm's output before the product: cheap, with nothing that learns.
            Defaults to None.
    """

    def cheap(x, scale, shift):
        x = F.layer_norm(x, norm.normalized_shape, scale, shift, norm.eps)
        return x if between is None else between(x)

    return recompute_linear(cheap, x, weight, bias, norm.weight, norm.bias)


class MLP(nn.Module):
    """Norm, Linear, GELU, Linear; the norm is the block's.

    Args:
        embed_dims (int): Channels in and out.
        hidden_dims (int): Channels between.
    """

    def __init__(self, embed_dims, hidden_dims):
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, hidden_dims)
        self.fc2 = nn.Linear(hidden_dims, embed_dims)

    def forward(self, x, norm):
        x = norm_linear(norm, x, self.fc1.weight, self.fc1.bias)
        return recompute_linear(F.gelu, x, self.fc2.weight, self.fc2.bias)


def attend(q, k, v, bias=None, fused=None):
    """Softmax attention.

    On a CPU torch has its fused kernel neither for a bias that learns nor any faster for short sequences or in bfloat16; there,
    written out, it is up to six times faster (bfloat16, 64 tokens).

    Args:
        q (Tensor): (N, heads, Lq, D).
        k (Tensor): (N, heads, L, D).
        v (Tensor): (N, heads, L, D).
        bias (Tensor, optional): Added to the logits: (B, heads, Lq, L), where B divides N and repeats. Defaults to None.
        fused (bool, optional): Take torch's fused attention. Defaults to None: where it is the faster.

    Returns:
        Tensor: (N, heads, Lq, D).
    """
    if fused is None:
        fused = q.device.type != 'cpu' or (bias is None and k.shape[-2] > 128 and q.dtype == torch.float32)
    if not fused:
        n, heads, _, d = q.shape
        q, k, v = (x.flatten(0, 1) for x in (q, k, v))
        # scale and bias within the product, and no pass over the logits for them; with beta=0 the first argument counts as none
        added = q.new_zeros(1) if bias is None else bias.to(q.dtype).flatten(0, 1)
        if bias is not None and len(bias) < n:
            added = added.repeat(n // len(bias), 1, 1)
        logits = torch.baddbmm(added, q, k.transpose(1, 2), beta=0 if bias is None else 1, alpha=d**-0.5)
        return (logits.softmax(-1).to(v.dtype) @ v).unflatten(0, (n, heads))
    if bias is None or len(bias) == len(q):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=None if bias is None else bias.to(q.dtype))
    # the windows of an image as heads of it: the bias is then broadcast over images, and not copied for each
    q, k, v = (x.unflatten(0, (-1, len(bias))).flatten(1, 2) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype).flatten(0, 1).expand(len(q), -1, -1, -1))
    return out.unflatten(1, (len(bias), -1)).flatten(0, 1)


class Attention(nn.Module):
    """Multi-head self-attention, scaled by ``head_dim ** -0.5``, with qkv bias: the projections before and after it.

    Args:
        embed_dims (int): Channels.
        num_heads (int): Heads; they divide the channels.
    """

    def __init__(self, embed_dims, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def project(self, x, norm, parts='qkv'):
        """Norm, then queries, keys and values, or some of them: (..., C) -> (..., parts * C)."""
        weight, bias = self.qkv.weight, self.qkv.bias
        if parts != 'qkv':
            c = x.shape[-1]
            first = 'qkv'.index(parts)
            rows = slice(first * c, (first + len(parts)) * c)
            weight, bias = weight[rows], bias[rows]
        return norm_linear(norm, x, weight, bias)

    def split_heads(self, x):
        """(N, L, parts * C) -> (parts, N, heads, L, D), contiguous."""
        n, length, _ = x.shape
        d = self.proj.in_features // self.num_heads
        return x.view(n, length, -1, self.num_heads, d).permute(2, 0, 3, 1, 4).contiguous()

    def merge_heads(self, x):
        """(N, heads, L, D) -> (N, L, C), and the projection after."""
        return self.proj(x.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Pre-norm block of a plain vision transformer: x + attn(LN x), x + mlp(LN x).

    Args:
        embed_dims (int): Channels.
        num_heads (int): Attention heads.
        mlp_ratio (float): Hidden channels of the MLP over channels. Defaults to 4.
        drop_path (float): Stochastic depth rate. Defaults to 0.
    """

    def __init__(self, embed_dims, num_heads, mlp_ratio=4, drop_path=0.):
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.attn = Attention(embed_dims, num_heads)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.mlp = MLP(embed_dims, int(embed_dims * mlp_ratio))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x, shared=None, num_queries=None):
        """Runs the block.

        Args:
            x (Tensor): (N, L, C).
            shared (tuple, optional): More tokens, (1, M, C), and which of them each image has behind its own, int64 (N, K).
                They are projected once for all images. Defaults to None: none.
            num_queries (int, optional): Only the last so many tokens ask and get an output; all are keys and values.
                Defaults to None: all.

        Returns:
            Tensor: (N, num_queries or L + K, C).
        """
        attn = self.attn
        if shared is not None:
            tokens, index = shared
            qkv = torch.cat([attn.project(x, self.norm1), gather_tokens(attn.project(tokens, self.norm1), index)], 1)
            q, k, v = attn.split_heads(qkv)
            q = q if num_queries is None else q[:, :, -num_queries:]
            x = torch.cat([x, gather_tokens(tokens, index)], 1)
        elif num_queries is None:
            q, k, v = attn.split_heads(attn.project(x, self.norm1))
        else:
            q, = attn.split_heads(attn.project(x[:, -num_queries:], self.norm1, 'q'))
            k, v = attn.split_heads(attn.project(x, self.norm1, 'kv'))
        x = (x if num_queries is None else x[:, -num_queries:]) + self.drop_path(attn.merge_heads(attend(q, k, v)))
        return x + self.drop_path(self.mlp(x, self.norm2))


def gather_tokens(tokens, index):
    """Tokens for every image from shared ones: (1, M, C) and int64 (N, K) -> (N, K, C)."""
    # the backward of gather adds along rows, many times faster on a CPU than that of indexing
    return tokens.expand(len(index), -1, -1).gather(1, index[..., None].expand(-1, -1, tokens.shape[2]))


def embed_dense(images, mask, conv, secondary_token):
    """Embeds every patch of whole images: (N, C, H, W) -> (N, H', W', C_0), padded to whole patches.

    Args:
        images (Tensor): (N, C, H, W).
        mask (Tensor | None): Mask map (N, H/unit, W/unit): patches that are not visible become the token.
        conv (nn.Conv2d): The patch embedding.
        secondary_token (Tensor): (C_0,). Where nothing is masked a zero of it keeps it in the graph, because DDP wants a
            gradient of every parameter.
    """
    size = conv.stride[0]
    pad_h, pad_w = -images.shape[2] % size, -images.shape[3] % size
    if pad_h or pad_w:
        images = F.pad(images, (0, pad_w, 0, pad_h))
    x = F.conv2d(images, conv.weight, conv.bias + 0 * secondary_token, size).permute(0, 2, 3, 1)
    if mask is None:
        return x
    patches_per_unit = x.shape[1] // mask.shape[1]
    hidden = (mask != VISIBLE).repeat_interleave(patches_per_unit, 1).repeat_interleave(patches_per_unit, 2)
    return torch.where(hidden[..., None], secondary_token.to(x.dtype), x)


def embed_compact(images, mask, conv, secondary_token):
    """Embeds the patches of sampled units alone; those of secondary units become the token.

    Args:
        images (Tensor): (N, C, H, W).
        mask (Tensor): Mask map (N, H/unit, W/unit).
        conv (nn.Conv2d): The patch embedding.
        secondary_token (Tensor): (C_0,).

    Returns:
        Tensor: (N, H'/2, W'/2, C_0), the patches of the compact image.
    """
    x = conv(gather_units(images, mask)).permute(0, 2, 3, 1)
    secondary = secondary_patches(mask, 2 * x.shape[1] // mask.shape[1])[..., None]
    return torch.where(secondary, secondary_token.to(x.dtype), x)


def init_transformer(module):
    """Initialises as MAE does: Xavier for Linear, zero biases, identity LayerNorms. For ``nn.Module.apply``."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
