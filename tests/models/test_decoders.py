"""Decoders that read several stages, and the one without self-attention."""

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from mmum.checkpoints import from_authors
from mmum.engine.reliability.sampling import seed_all
from mmum.errors import InputError
from mmum.masking import removed_units, sampled_units
from mmum.models import UMCrossDecoder, UMDecoder
from mmum.models.embedding import sincos_positions
from tests.helpers import (
    SMALL_ARCH,
    SMALL_PVT,
    SMALLER,
    build_um_mae,
    data_samples,
    golden,
    golden_mask,
    mask_maps,
)

DECODERS = [UMDecoder, UMCrossDecoder]
SMALL = dict(embed_dims=32, num_heads=4)
BACKBONES = dict(
    UMSwin=dict(arch=SMALL_ARCH, window_size=4),
    UMPVT=dict(arch=SMALL_PVT),
    UMStockSwin=dict(arch=SMALL_ARCH, window_size=8, img_size=128),
    UMViT=dict(**SMALLER['UMViT'], out_type='raw'),
)


def build(backbone, decoder, stages=(2, 3), **options):
    """A small UMMAE."""
    is_vit = backbone == 'UMViT'
    channels = [128, 128] if is_vit else [16 * 2**stage for stage in stages]
    stages = (0, 1) if is_vit else stages
    neck = dict(type=decoder.__name__, in_channels=channels, stages=stages, **SMALL, **options)
    model = MODELS.build(
        dict(
            type='UMMAE',
            backbone=dict(type=backbone, **BACKBONES[backbone]),
            neck=dict(neck, stride=16) if is_vit else neck,
            head=dict(type='UMHead'),
        )
    )
    model.init_weights()
    return model


def test_stages_of_the_last_alone_is_the_papers():
    """Same names, same numbers, those of the authors."""
    numbers = golden('um_mae_swin_pretrain')
    weights = {k[7:]: v for k, v in numbers.items() if k.startswith('weight.')}
    arch = dict(embed_dims=16, depths=(2, 2, 4, 2), num_heads=(1, 2, 4, 8))
    model = build_um_mae(arch)
    model.neck = UMDecoder([128], 32, 2, 4, stages=(3,))
    model.load_state_dict(from_authors(weights))
    images, mask = numbers['images'].float(), golden_mask(numbers)
    pred = model.predict_removed(images, mask)
    assert torch.allclose(pred, numbers['pred_masked_aligned'], atol=1e-4)


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('decoder', DECODERS)
def test_every_backbone_and_decoder_learns(backbone, decoder):
    """All parameters get a gradient, and a few steps on one batch lower the loss."""
    model = build(backbone, decoder).train()
    images, samples = torch.rand(2, 3, 128, 128), data_samples(mask_maps(2, (8, 8)))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    losses = []
    for _ in range(8):
        torch.manual_seed(0)  # the same units
        loss = model.loss(images, samples)['loss']
        optimizer.zero_grad()
        loss.backward()
        assert [n for n, p in model.named_parameters() if p.grad is None] == []
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_out_indices_follow():
    assert build('UMSwin', UMDecoder, stages=(1, 3)).backbone.out_indices == (1, 3)
    model = build('UMSwin', UMDecoder, stages=(3, 1))  # in the order of the decoder
    assert [p.in_features for p in (*model.neck.laterals, model.neck.embed)] == [128, 32]
    assert model.predict_removed(torch.rand(1, 3, 64, 64), mask_maps(1, (4, 4))).shape[1] == 12
    backbone = dict(type='UMSwin', arch=SMALL_ARCH, out_indices=(0, 1, 2, 3))
    neck = dict(type='UMDecoder', in_channels=[64, 128], stages=(2, 3), **SMALL)
    model = MODELS.build(dict(type='UMMAE', backbone=backbone, neck=neck, head=dict(type='UMHead')))
    assert model.predict_removed(torch.rand(1, 3, 64, 64), mask_maps(1, (4, 4))).shape[1] == 12
    with pytest.raises(InputError, match=r'out_indices=3 of the backbone lack some of stages=\(2'):
        backbone['out_indices'] = 3
        MODELS.build(dict(type='UMMAE', backbone=backbone, neck=neck, head=dict(type='UMHead')))


@pytest.mark.parametrize('stage', [0, 1, 2, 3])
def test_one_token_per_sampled_unit(stage):
    """The token of a cell depends on the tokens of its unit alone, at every stride."""
    decoder = UMDecoder([8], stages=(stage,), **SMALL)
    cells, tokens_per_unit = 4, 4 / 2**stage
    side = int(cells * tokens_per_unit)
    latent = torch.rand(1, 8, side, side, requires_grad=True)
    (tokens,) = decoder.unit_tokens([latent])
    assert tokens.shape == (1, cells**2, 32)
    for cell in (0, 5, 15):
        (grad,) = torch.autograd.grad(tokens[0, cell].sum(), latent, retain_graph=True)
        touched = grad[0].abs().sum(0) > 0
        row, column = (int(c * tokens_per_unit) for c in divmod(cell, cells))
        reach = max(1, int(tokens_per_unit))
        expected = torch.zeros(side, side, dtype=torch.bool)
        expected[row : row + reach, column : column + reach] = True
        assert torch.equal(touched, expected)


@pytest.mark.parametrize('decoder, mixes', [(UMDecoder, 1), (UMCrossDecoder, 2)])
def test_stages_are_summed_with_learned_weights(decoder, mixes):
    """Of the cross-decoder every block has weights of its own."""
    model = decoder([8, 16], stages=(2, 3), **SMALL)
    model.stage_weights.data = torch.rand(mixes * 2)
    latents = [torch.rand(2, 8, 4, 4), torch.rand(2, 16, 2, 2)]
    one = model.laterals[0](latents[0].permute(0, 2, 3, 1)).flatten(1, 2)
    shuffled = F.pixel_shuffle(model.embed(latents[1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2), 2)
    other = shuffled.flatten(2).transpose(1, 2)
    for tokens, (a, b) in zip(
        model.unit_tokens(latents), model.stage_weights.view(-1, 2), strict=True
    ):
        assert torch.allclose(tokens, a * one + b * other, atol=1e-6)


@pytest.mark.parametrize('distance_bias', [0, 2])
def test_the_cross_decoder_step_by_step(distance_bias):
    """Against plain attention of every unit by itself."""
    decoder = UMCrossDecoder(16, **SMALL, distance_bias=distance_bias).eval()
    decoder.init_weights()
    latent, mask = torch.randn(2, 16, 2, 4), mask_maps(2, (8, 16))
    positions = sincos_positions((8, 16), 32, torch.device('cpu'))
    (tokens,) = decoder.unit_tokens(latent)
    found = decoder(latent, mask)
    for n in range(2):
        sampled = sampled_units(mask)[n]
        context = tokens[n] + positions[sampled]
        for k, unit in enumerate(removed_units(mask)[n].tolist()):
            x = decoder.mask_token + positions[unit]
            distance = torch.hypot(
                (sampled // 16 - unit // 16).float(), (sampled % 16 - unit % 16).float()
            )
            for block in decoder.blocks:
                q, _, _ = block.attn.qkv(block.norm1(x)).chunk(3)
                _, keys, values = block.attn.qkv(block.norm_context(context)).chunk(3, -1)
                heads = []
                for h in range(4):
                    part = slice(8 * h, 8 * h + 8)
                    slope = distance_bias * 0.5 ** (h / 3)  # of four heads, to half
                    weights = (keys[:, part] @ q[part] * 8**-0.5 - slope * distance).softmax(0)
                    heads.append(weights @ values[:, part])
                x = x + block.attn.proj(torch.cat(heads))
                hidden = F.gelu(block.mlp.fc1(block.norm2(x)))
                x = x + block.mlp.fc2(hidden)
            expected = decoder.pred(decoder.norm(x))
            assert torch.allclose(found[n, k], expected, atol=1e-5)


@pytest.mark.parametrize('stride', [32, 16])
def test_distance_bias(stride):
    """Against plain attention of all tokens at once, behind a pyramid and behind a ViT."""
    decoder = UMDecoder(16, **SMALL, stride=stride, distance_bias=2).eval()
    decoder.init_weights()
    mask = mask_maps(2, (8, 16))
    latent = torch.randn(2, 16, 2, 4) if stride == 32 else torch.randn(2, 1 + 32, 16)
    positions = sincos_positions((8, 16), 32, torch.device('cpu'))
    (tokens,) = decoder.unit_tokens(latent)
    found = decoder(latent, mask)
    for n in range(2):
        placed = torch.cat([sampled_units(mask)[n], removed_units(mask)[n]])
        at = torch.stack([placed // 16, placed % 16], 1).float()
        distance = (at[:, None] - at[None]).norm(dim=2)
        first = tokens.shape[1] - 32  # a class token, at no distance to any unit
        distance = F.pad(distance, (first, 0, first, 0))
        removed = decoder.mask_token + positions[removed_units(mask)[n]]
        x = torch.cat([tokens[n, first:] + positions[placed[:32]], removed])
        x = torch.cat([tokens[n, :first], x])
        for block in decoder.blocks:
            heads = []
            for h, (q, k, v) in enumerate(
                zip(*(part.split(8, 1) for part in block.attn.qkv(block.norm1(x)).chunk(3, 1)))
            ):
                slope = 2 * 0.5 ** (h / 3)  # of four heads, to half
                logits = q @ k.t() * 8**-0.5 - slope * distance
                heads.append(logits.softmax(1) @ v)
            x = x + block.attn.proj(torch.cat(heads, 1))
            x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
        expected = decoder.pred(decoder.norm(x[-96:]))
        assert torch.allclose(found[n], expected, atol=1e-5)


def test_units_do_not_talk_to_each_other():
    """Which units are predicted changes no prediction, unlike with self-attention."""
    images, mask = torch.rand(2, 3, 128, 128), mask_maps(2, (8, 8))
    removed = removed_units(mask)
    some = removed[:, ::3]
    for decoder, independent in ((UMCrossDecoder, True), (UMDecoder, False)):
        model = build('UMSwin', decoder).eval()
        every = model.predict_removed(images, mask)
        few = model.predict_removed(images, mask, some)
        assert torch.allclose(every[:, ::3], few, atol=1e-5) == independent


def test_the_units_of_a_step():
    """A third of the removed ones, all of them removed; the seed of the step decides."""
    decoder, mask = UMCrossDecoder(16, **SMALL), mask_maps(3, (16, 16))
    drawn = []
    for step in (1, 2, 1):
        seed_all((0, 0, step, 0), gpus=False)
        drawn.append(decoder.train().units_to_predict(mask))
    assert drawn[0].shape == (3, 64)
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])
    assert all(mask[n].flatten()[drawn[0][n]].eq(2).all() for n in range(3))
    assert all(len(row.unique()) == 64 for row in drawn[0])
    counts = torch.zeros(3, 256)
    for _ in range(300):
        counts.scatter_add_(1, decoder.units_to_predict(mask), torch.ones(3, 64))
    shares = counts.gather(1, removed_units(mask)) / 300
    assert (shares - 1 / 3).abs().max() < 0.12  # every removed unit has its turn
    assert torch.equal(decoder.eval().units_to_predict(mask), removed_units(mask))
    assert torch.equal(UMDecoder(16, **SMALL).train().units_to_predict(mask), removed_units(mask))


def test_the_loss_is_that_of_the_units_drawn():
    model = build('UMSwin', UMCrossDecoder).train()
    images, mask = torch.rand(2, 3, 128, 128), mask_maps(2, (8, 8))
    torch.manual_seed(3)
    loss = model.loss(images, data_samples(mask))['loss']
    torch.manual_seed(3)
    units = model.neck.units_to_predict(mask)
    pred = model.predict_removed(images, mask, units)
    place = (removed_units(mask)[:, None] == units[..., None]).long().argmax(-1)
    target = model.head.target(images, mask)
    target = target.gather(1, place[..., None].expand(-1, -1, 768))
    assert loss.item() == pytest.approx(F.mse_loss(pred, target).item(), rel=1e-5)


@pytest.mark.parametrize(
    'decoder, options, sentence',
    [
        (UMDecoder, dict(stages=(2, 3)), r'stages=\(2, 3\) of UMDecoder should be different ones'),
        (UMDecoder, dict(in_channels=[8, 8], stages=(3, 3)), 'should be different ones'),
        (UMDecoder, dict(in_channels=[8, 8], stages=(3, 4)), 'should be from 0 to 3'),
        (UMCrossDecoder, dict(predict_ratio=0.9), 'predict_ratio=0.9 of UMCrossDecoder should be'),
        (UMCrossDecoder, dict(predict_ratio=0), 'predict_ratio=0 of UMCrossDecoder'),
        (UMCrossDecoder, dict(depth=0), 'depth=0 of UMCrossDecoder'),
        (UMDecoder, dict(distance_bias=-1), 'distance_bias=-1 of UMDecoder should not be negative'),
    ],
)
def test_what_cannot_be(decoder, options, sentence):
    with pytest.raises(InputError, match=sentence):
        decoder(**{'in_channels': 8, **SMALL, **options})


@pytest.mark.parametrize('distance_bias', [0, 2])
def test_autocast_and_bfloat16(distance_bias):
    for decoder in DECODERS:
        model = build('UMSwin', decoder, distance_bias=distance_bias).eval()
        images, mask = torch.rand(1, 3, 64, 64), mask_maps(1, (4, 4))
        exact = model.predict_removed(images, mask)
        with torch.autocast('cpu', torch.bfloat16):
            rough = model.predict_removed(images, mask)
        assert torch.allclose(rough.float(), exact, atol=0.1)
        half = model.bfloat16().predict_removed(images.bfloat16(), mask)
        assert torch.allclose(half.float(), exact, atol=0.15)
