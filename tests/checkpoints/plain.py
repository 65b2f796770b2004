"""The authors' classifiers written down plainly, from the names in their files alone."""

import torch
import torch.nn.functional as F


def norm(w, name, x, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], w[f'{name}.weight'], w[f'{name}.bias'], eps)


def linear(w, name, x):
    weight = w[f'{name}.weight']
    return F.linear(x, weight.flatten(1), w[f'{name}.bias'])


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def window_attention(w, name, x, heads, window, shift):
    """(N, H, W, C): every window by itself, every pair of tokens by itself."""
    n, height, width, c = x.shape
    where = torch.stack(
        torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij'), -1
    )
    x, moved = x.roll((-shift, -shift), (1, 2)), where.roll((-shift, -shift), (0, 1))
    out = torch.zeros_like(x)
    for top in range(0, height, window):
        for left in range(0, width, window):
            rows, columns = slice(top, top + window), slice(left, left + window)
            tokens = x[:, rows, columns].flatten(1, 2)
            place = torch.cartesian_prod(torch.arange(window), torch.arange(window))
            d = (place[None] - place[:, None]).float()
            hidden = F.relu(linear(w, f'{name}.posmlp.0', d.sign() * d.abs().log1p()))
            bias = linear(w, f'{name}.posmlp.2', hidden).permute(2, 0, 1)
            true = moved[rows, columns].flatten(0, 1)
            apart = ((true[None] - true[:, None]) != d).any(-1)
            q, k, v = (heads_of(t, heads) for t in linear(w, f'{name}.qkv', tokens).chunk(3, -1))
            logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias - 100.0 * apart
            attended = (logits.softmax(-1) @ v).transpose(-3, -2).flatten(-2)
            out[:, rows, columns] = attended.unflatten(1, (window, window))
    return linear(w, f'{name}.proj', out).roll((shift, shift), (1, 2))


def pooled_attention(w, name, x, heads, ratio):
    n, height, width, c = x.shape
    pooled = F.avg_pool2d(x.permute(0, 3, 1, 2), ratio, ceil_mode=True).permute(0, 2, 3, 1)
    pooled = norm(w, f'{name}.norm', linear(w, f'{name}.sr', pooled))
    q = heads_of(linear(w, f'{name}.q', x).flatten(1, 2), heads)
    k, v = (heads_of(t.flatten(1, 2), heads) for t in linear(w, f'{name}.kv', pooled).chunk(2, -1))
    attended = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v
    return linear(w, f'{name}.proj', attended.transpose(-3, -2).reshape(n, height, width, c))


def plain_logits(family, w, images):
    """The classifier from the authors' names alone."""
    x = F.conv2d(images, w['patch_embed.proj.weight'], w['patch_embed.proj.bias'], 4)
    x = x.permute(0, 2, 3, 1)
    if family == 'swin':
        x = norm(w, 'patch_embed.norm', x, 1e-6)
    else:
        x = x + w['pos_embed'].view(1, *x.shape[1:])
    for i in range(8):
        stage, name = i // 2, f'blocks.{i}'
        if i and i % 2 == 0:
            if family == 'swin':
                x = norm(w, f'{name}.downsample.norm', x, 1e-6)
            weight, bias = (w[f'{name}.downsample.proj.{kind}'] for kind in ('weight', 'bias'))
            x = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, 2).permute(0, 2, 3, 1)
        heads, side = 2**stage, x.shape[1]
        y = norm(w, f'{name}.norm1', x)
        if family == 'swin':
            shift = 8 if side > 16 and i % 2 else 0
            x = x + window_attention(w, f'{name}.attn', y, heads, min(16, side), shift)
        else:
            x = x + pooled_attention(w, f'{name}.attn', y, heads, (8, 4, 2, 1)[stage])
        y = F.gelu(linear(w, f'{name}.mlp.fc1', norm(w, f'{name}.norm2', x)))
        x = x + linear(w, f'{name}.mlp.fc2', y)
    return linear(w, 'head', norm(w, 'fc_norm', x.mean((1, 2)), 1e-6))
