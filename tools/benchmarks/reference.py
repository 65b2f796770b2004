"""UM-MAE with a Swin as the paper describes it, written down plainly: what the fast code must
equal, and is measured against.

Embeds whole images and selects, evaluates the position MLP for every pair of every window, writes
attention out, decodes every token in every block. It has no weights of its own but uses those of a
UMMAE.
"""

import torch
import torch.nn.functional as F
from torch import nn


class PlainUMMAE(nn.Module):
    """The plain computation with the weights of a ``UMMAE`` on a ``UMSwin``.

    Args:
        model (UMMAE): Whose weights to use.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs, data_samples, mode='loss'):
        mask = torch.stack([sample.mask for sample in data_samples])
        return dict(loss=self.loss(inputs, mask))

    def loss(self, images, mask):
        latent = self.encode(images, mask)
        pred = self.decode(latent, mask)
        units = patches_of(images, 16)
        target = (units - units.mean(-1, keepdim=True)) / (
            units.var(-1, keepdim=True) + 1e-6
        ) ** 0.5
        removed = (mask.flatten(1) == 2).float()
        return (((pred - target) ** 2).mean(-1) * removed).sum() / removed.sum()

    # ------------------------------------------------------------------ mask, encode

    def encode(self, images, mask):
        backbone = self.model.backbone
        x = backbone.patch_embed(images).permute(0, 2, 3, 1)  # all patches of the full image
        sampled = compact_index(mask)  # (N, rows, columns) of patches in the full grid
        n, rows, columns = sampled.shape
        width = x.shape[2]
        x = x.flatten(1, 2)[torch.arange(n)[:, None, None], sampled]
        secondary = (mask.repeat_interleave(4, 1).repeat_interleave(4, 2).flatten(1) == 1)[
            torch.arange(n)[:, None, None], sampled
        ]
        x = backbone.patch_norm(
            torch.where(secondary[..., None], backbone.secondary_token.to(x.dtype), x)
        )
        at = torch.stack([sampled // width, sampled % width], -1).float()
        for i, stage in enumerate(backbone.stages):
            if stage.downsample is not None:
                merge = stage.downsample
                x = merge.proj(merge.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
                at = at[:, ::2, ::2] / 2
            window = min(backbone.window_size, x.shape[1], x.shape[2])
            whole = min(x.shape[1:3]) > window
            for j, block in enumerate(stage.blocks):
                shift = window // 2 if whole and j % 2 else 0
                x = x + self.attend(block.attn, block.norm1(x), at, window, shift)
                x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
        return backbone.norm3(x)

    def attend(self, attn, x, at, window, shift):
        n, height, width, c = x.shape
        if shift:
            x, at = (t.roll((-shift, -shift), (1, 2)) for t in (x, at))
        x, at = windows(x, window), windows(at, window)
        d = at[:, None, :, :] - at[:, :, None, :]  # key minus query of every pair of every window
        bias = attn.pos_mlp(d.sign() * (1 + d.abs()).log()).permute(0, 3, 1, 2)
        q, k, v = attn.qkv(x).view(len(x), window**2, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
        logits = q * (c // attn.num_heads) ** -0.5 @ k.transpose(-2, -1) + bias
        if shift:
            region = torch.zeros(1, height, width, 1)
            for r, rows in enumerate(
                (slice(0, -window), slice(-window, -shift), slice(-shift, None))
            ):
                for s, columns in enumerate(
                    (slice(0, -window), slice(-window, -shift), slice(-shift, None))
                ):
                    region[:, rows, columns] = 3 * r + s
            region = windows(region, window)[..., 0]
            apart = (region[:, None, :] != region[:, :, None]).to(x.device).repeat(n, 1, 1)[:, None]
            logits = logits + apart * -100.0
        x = (logits.softmax(-1) @ v).transpose(1, 2).reshape(len(x), window**2, c)
        x = unwindows(attn.proj(x), n, height, width, window)
        return x.roll((shift, shift), (1, 2)) if shift else x

    # ------------------------------------------------------------------ decode

    def decode(self, latent, mask):
        neck = self.model.neck
        x = F.pixel_shuffle(neck.embed(latent).permute(0, 3, 1, 2), 2).flatten(2).transpose(1, 2)
        position = sincos(mask.shape[1], mask.shape[2], x.shape[2]).to(x)
        # every unit its token: the sampled ones in the order of their cells, mask tokens elsewhere
        rows, columns = mask.shape[1] // 2, mask.shape[2] // 2
        full = neck.mask_token.to(x.dtype).expand(len(x), mask[0].numel(), -1).clone()
        cells = (
            (mask != 2)
            .view(-1, rows, 2, columns, 2)
            .transpose(2, 3)
            .flatten(3)
            .nonzero()[:, 3]
            .view(len(x), rows, columns)
        )
        unit = (
            (2 * torch.arange(rows, device=x.device)[:, None] + cells // 2) * mask.shape[2]
            + 2 * torch.arange(columns, device=x.device)
            + cells % 2
        )
        full[torch.arange(len(x))[:, None], unit.flatten(1)] = x
        x = full + position
        for block in neck.blocks:
            y = block.norm1(x)
            q, k, v = (
                block.attn.qkv(y)
                .view(*y.shape[:2], 3, block.attn.num_heads, -1)
                .permute(2, 0, 3, 1, 4)
            )
            y = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1) @ v
            x = x + block.attn.proj(y.transpose(1, 2).flatten(2))
            x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
        return neck.pred(neck.norm(x))


def compact_index(mask):
    """For every patch of the compact image its index in the full grid of patches: (N, H/8, W/8)."""
    n, height, width = mask.shape
    index = torch.arange(16 * height * width, device=mask.device).view(
        height // 2, 2, 4, width // 2, 2, 4
    )
    index = index.permute(0, 3, 1, 4, 2, 5).reshape(
        height // 2, width // 2, 4, 4, 4
    )  # cells, units of a cell, patches
    chosen = (
        (mask != 2)
        .view(n, height // 2, 2, width // 2, 2)
        .transpose(2, 3)
        .reshape(n, height // 2, width // 2, 4)
    )
    index = index.expand(n, -1, -1, -1, -1, -1)[chosen].view(n, height // 2, width // 2, 4, 4)
    return index.transpose(2, 3).reshape(n, 2 * height, 2 * width)


def windows(x, window):
    """(N, H, W, C) -> (N * windows, window ** 2, C)."""
    n, height, width, c = x.shape
    x = x.view(n, height // window, window, width // window, window, c)
    return x.transpose(2, 3).reshape(-1, window**2, c)


def unwindows(x, n, height, width, window):
    """The inverse of :func:`windows`."""
    x = x.view(n, height // window, width // window, window, window, -1)
    return x.transpose(2, 3).reshape(n, height, width, -1)


def patches_of(images, size):
    """(N, C, H, W) -> (N, units, size * size * C)."""
    x = F.unfold(images, size, stride=size).transpose(1, 2)
    return x.unflatten(2, (images.shape[1], size**2)).transpose(2, 3).flatten(2)


def sincos(rows, columns, dims):
    """MAE's fixed positions: the first half of the channels encodes the column."""
    omega = 1 / 10000 ** (torch.arange(dims // 4, dtype=torch.float64) / (dims / 4))
    halves = []
    for at in (torch.arange(columns).repeat(rows), torch.arange(rows).repeat_interleave(columns)):
        angle = at.double()[:, None] * omega
        halves += [angle.sin(), angle.cos()]
    return torch.cat(halves, 1)
