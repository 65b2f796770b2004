"""Attention, MLP and the plain transformer block."""

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmum.models.recompute import norm_linear, recompute_linear


class MLP(nn.Module):
    """Linear, GELU, Linear. The norm before it belongs to the block and is handed along.

    Args:
        embed_dims (int): Number of channels in and out.
        hidden_dims (int): Number of channels in between.
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, hidden_dims)
        self.fc2 = nn.Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor, norm: nn.LayerNorm) -> Tensor:
        """Normalise and transform every token: (..., C) -> (..., C)."""
        x = norm_linear(norm, x, self.fc1.weight, self.fc1.bias)
        return recompute_linear(F.gelu, x, self.fc2.weight, self.fc2.bias)


def attend(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, fused: bool | None = None
) -> Tensor:
    """Softmax attention, scaled by ``D ** -0.5``.

    On a CPU, torch has no fused kernel for a bias that learns, and its kernel is not faster for
    short sequences or in bfloat16. Written out, attention there is up to six times faster
    (bfloat16, 64 tokens).

    Args:
        q (Tensor): Queries, (N, heads, Lq, D).
        k (Tensor): Keys, (N, heads, L, D).
        v (Tensor): Values, (N, heads, L, D).
        bias (Tensor, optional): Added to the logits: (B, heads, Lq, L), where B divides N and is
            repeated. Defaults to None.
        fused (bool, optional): Whether to use torch's fused attention. Defaults to None: wherever
            it is faster.

    Returns:
        Tensor: (N, heads, Lq, D).
    """
    if fused is None:
        long = k.shape[-2] > 128 and q.dtype == torch.float32
        fused = q.device.type != 'cpu' or (bias is None and long)
    if not fused:
        n, heads, _, d = q.shape
        q, k, v = (x.flatten(0, 1) for x in (q, k, v))
        # Scale and bias enter within the product, which saves two passes over the logits. With
        # beta=0 the first argument is ignored.
        added = q.new_zeros(1) if bias is None else bias.to(q.dtype).flatten(0, 1)
        if bias is not None and len(bias) < n:
            added = added.repeat(n // len(bias), 1, 1)
        beta = 0 if bias is None else 1
        logits = torch.baddbmm(added, q, k.transpose(1, 2), beta=beta, alpha=d**-0.5)
        return (logits.softmax(-1).to(v.dtype) @ v).unflatten(0, (n, heads))
    if bias is None or len(bias) == len(q):
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=None if bias is None else bias.to(q.dtype)
        )
    # Treat the windows of an image as its heads: the bias is then broadcast over the images
    # instead of being copied for each.
    q, k, v = (x.unflatten(0, (-1, len(bias))).flatten(1, 2) for x in (q, k, v))
    attn_mask = bias.to(q.dtype).flatten(0, 1).expand(len(q), -1, -1, -1)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
    return out.unflatten(1, (len(bias), -1)).flatten(0, 1)


class Attention(nn.Module):
    """The projections around multi-head self-attention, with qkv bias.

    Args:
        embed_dims (int): Number of channels.
        num_heads (int): Number of heads; divides ``embed_dims``.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def project(self, x: Tensor, norm: nn.LayerNorm, parts: str = 'qkv') -> Tensor:
        """Normalise, then project to queries, keys and values, or to some of them.

        Args:
            x (Tensor): (..., C).
            norm (nn.LayerNorm): The norm of the block.
            parts (str): A substring of 'qkv'. Defaults to 'qkv'.

        Returns:
            Tensor: (..., len(parts) * C).
        """
        weight, bias = self.qkv.weight, self.qkv.bias
        if parts != 'qkv':
            c = x.shape[-1]
            first = 'qkv'.index(parts)
            rows = slice(first * c, (first + len(parts)) * c)
            weight, bias = weight[rows], bias[rows]
        return norm_linear(norm, x, weight, bias)

    def split_heads(self, x: Tensor) -> Tensor:
        """(N, L, parts * C) -> (parts, N, heads, L, D), contiguous."""
        n, length, _ = x.shape
        d = self.proj.in_features // self.num_heads
        return x.view(n, length, -1, self.num_heads, d).permute(2, 0, 3, 1, 4).contiguous()

    def merge_heads(self, x: Tensor) -> Tensor:
        """Merge the heads and apply the output projection: (N, heads, L, D) -> (N, L, C)."""
        return self.proj(x.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Pre-norm block of a plain vision transformer: x + attn(LN x), x + mlp(LN x).

    Args:
        embed_dims (int): Number of channels.
        num_heads (int): Number of attention heads.
        mlp_ratio (float): Hidden channels of the MLP over channels. Defaults to 4.
        drop_path (float): Stochastic depth rate. Defaults to 0.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, mlp_ratio: float = 4, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.attn = Attention(embed_dims, num_heads)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.mlp = MLP(embed_dims, int(embed_dims * mlp_ratio))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(
        self,
        x: Tensor,
        shared: tuple[Tensor, Tensor] | None = None,
        num_queries: int | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Run the block.

        Args:
            x (Tensor): (N, L, C).
            shared (tuple, optional): Tokens (1, M, C) that several images have in common, and
                int64 (N, K), the ones that each image appends to its own. They are projected once
                per batch. Defaults to None: no further tokens.
            num_queries (int, optional): Number of tokens, counted from the end, that are queries
                and get an output; all tokens are keys and values. Defaults to None: all.
            bias (Tensor, optional): Added to the logits, (N, heads, L + K, L + K), of which the
                rows of queries count. Defaults to None.

        Returns:
            Tensor: (N, num_queries or L + K, C).
        """
        attn = self.attn
        if shared is not None:
            tokens, index = shared
            common = gather_tokens(attn.project(tokens, self.norm1), index)
            q, k, v = attn.split_heads(torch.cat([attn.project(x, self.norm1), common], 1))
            q = q if num_queries is None else q[:, :, -num_queries:]
            x = torch.cat([x, gather_tokens(tokens, index)], 1)
        elif num_queries is None:
            q, k, v = attn.split_heads(attn.project(x, self.norm1))
        else:
            (q,) = attn.split_heads(attn.project(x[:, -num_queries:], self.norm1, 'q'))
            k, v = attn.split_heads(attn.project(x, self.norm1, 'kv'))
        if num_queries is not None:
            x = x[:, -num_queries:]
            bias = bias if bias is None else bias[:, :, -num_queries:]
        x = x + self.drop_path(attn.merge_heads(attend(q, k, v, bias)))
        return x + self.drop_path(self.mlp(x, self.norm2))


def gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Give every image its choice of shared tokens: (1, M, C) and int64 (N, K) -> (N, K, C)."""
    # The backward of gather adds along rows, many times faster on a CPU than that of indexing.
    index = index[..., None].expand(-1, -1, tokens.shape[2])
    return tokens.expand(len(index), -1, -1).gather(1, index)


def init_transformer(module: nn.Module) -> None:
    """Initialise as MAE does: Xavier-uniform Linears, zero biases, identity LayerNorms.

    Args:
        module (nn.Module): One module; pass this function to ``nn.Module.apply``.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
