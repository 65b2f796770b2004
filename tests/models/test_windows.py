"""Windows: cutting a map and putting it together, and the bias of every pair of tokens."""

import pytest
import torch

from mmum.masking import merge_positions, patch_positions
from mmum.models import bias_lookup
from mmum.models.bias_lookup import look_up
from mmum.models.windows import MASKED_BIAS, PositionBias, Windows
from tests.helpers import build_um_mae, data_samples, mask_maps


def windows_of(height, width, size, shift):
    """Windows of a map, which shrink to it unshifted where it is small."""
    if min(height, width) <= size:
        return Windows(min(height, width), 0, height, width)
    return Windows(size, shift, height, width)


@pytest.mark.parametrize(
    'size, pad, expected',
    [
        (8, False, [(8, 0), (8, 4)]),
        (16, False, [(12, 0)]),
        (16, True, [(16, 0), (16, 8)]),
        (7, False, [(7, 0), (7, 3)]),
    ],
)
def test_fit(size, pad, expected):
    """Large maps get shifted windows; small ones one unshifted window, or padding."""
    assert [(w.size, w.shift) for w in Windows.fit(12, 20, size, pad)] == expected


@pytest.mark.parametrize('window, shift', [(8, 0), (8, 4), (7, 3), (6, 3)])
@pytest.mark.parametrize('height, width', [(16, 16), (24, 16), (20, 28)])
def test_split_and_join_are_inverse(window, shift, height, width):
    windows = Windows(window, shift, height, width)
    x = torch.randn(2, height, width, 5)
    assert torch.equal(windows.join(windows.split(x)[0]), x)
    x = torch.randn(2, height, width, 3 * 2 * 4)  # queries, keys, values of 2 heads
    for i, part in enumerate(windows.split(x, 3, 2)):
        assert torch.equal(windows.join(part), x[..., 8 * i : 8 * i + 8])


def _explicit_bias(windows, positions, table_function):
    """The bias, computed for every pair by itself: (N * windows, L, L)."""
    p = windows.split(positions.permute(0, 2, 3, 1))[0, :, 0]
    d = p[:, None, :, :] - p[:, :, None, :]
    return table_function(d.sign() * d.abs().log1p())


@pytest.mark.parametrize('stage', range(4))
@pytest.mark.parametrize('window, shift', [(8, 0), (8, 4), (7, 3), (6, 2), (4, 2)])
def test_every_pair_reads_the_bias_of_its_true_offset(stage, window, shift):
    """Also for windows that do not align with cells; pairs that only the shift brought together are
    masked."""
    mask = mask_maps(3, (32, 16))
    positions = patch_positions(mask, 4)
    for _ in range(stage):
        positions = merge_positions(positions)
    windows = windows_of(*positions.shape[2:], window, shift)
    position_bias = PositionBias.compact(windows, positions, 4 / 2**stage)

    def function(offset):
        return offset[..., 0] * 3 - offset[..., 1]

    bias = position_bias.lookup(function(position_bias.log_offsets)[:, None])[:, 0]
    masked = bias == MASKED_BIAS
    padded = windows.padded != positions.shape[2:]
    if not padded:
        expected = _explicit_bias(windows, positions, function)
        assert torch.allclose(bias[~masked], expected[~masked], atol=1e-5)
    assert masked.any() == bool(windows.shift or padded)
    assert not masked.diagonal(dim1=1, dim2=2).any()


def test_masked_pairs_are_those_of_swin():
    """Two tokens of a shifted window are masked exactly when their distance on the map is not that
    in the window."""
    height = width = 24
    window, shift = 8, 4
    windows = Windows(window, shift, height, width)
    position_bias = PositionBias.dense(windows, 'cpu')
    where = torch.stack(
        torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij'), -1
    )[None]
    p = windows.split(where)[0, :, 0]
    inside = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    true, local = p[:, None] - p[:, :, None], inside[None, None] - inside[None, :, None]
    apart = (true != local).any(-1)
    assert torch.equal(
        position_bias.lookup(torch.zeros(len(position_bias.offsets), 1))[:, 0] == MASKED_BIAS, apart
    )


def test_windows_that_are_filled_up_do_not_see_with_what():
    """A map that is no multiple of the window is padded after the norm: nothing that the tokens
    beside it hold gets in."""
    layout = Windows(4, 2, 10, 14)
    assert layout.padded == (12, 16)
    x, fill = torch.randn(1, 10, 14, 6), torch.randn(6)
    windows = layout.split(x, fill=fill)[0, :, 0]
    own = layout.split(torch.ones(1, 10, 14, 1))[0, :, 0, :, 0].bool()
    assert torch.equal(windows[~own], fill.expand(int((~own).sum()), 6))
    assert torch.equal(windows[own].sort(0).values, x.flatten(0, 2).sort(0).values)


def both_gradients(position_bias, real=None):
    """Gradient of a random table by additions and by blocks, of the same output."""
    table = torch.randn(3, len(position_bias.offsets) + 1, dtype=torch.float64)
    outputs, gradients, generator = [], [], torch.Generator()
    for by_blocks in (False, True):
        leaf = table.clone().requires_grad_()
        bias = look_up(leaf, position_bias.index, position_bias.blocks, by_blocks)
        grad = torch.randn(bias.shape, dtype=torch.float64, generator=generator.manual_seed(0))
        bias.backward(grad if real is None else grad * real)
        outputs.append(bias.detach())
        gradients.append(leaf.grad[:, :-1])
    assert torch.equal(*outputs)
    return gradients


@pytest.mark.parametrize('stage', range(4))
@pytest.mark.parametrize(
    'window, shift', [(8, 0), (8, 4), (7, 3), (6, 2), (4, 2), (6, 3), (3, 1), (16, 8)]
)
def test_the_gradient_by_blocks(stage, window, shift, monkeypatch):
    """Equal to additions by index, also in windows that cut cells; chunk by chunk too."""
    positions = patch_positions(mask_maps(3, (32, 16)), 4)
    for _ in range(stage):
        positions = merge_positions(positions)
    windows = windows_of(*positions.shape[2:], window, shift)
    position_bias = PositionBias.compact(windows, positions, 4 / 2**stage)
    # no gradient reaches padding tokens, whose outputs are cut off
    real = windows.split(torch.ones(3, *positions.shape[2:], 1))[0, :, 0, :, 0]
    real = real[:, :, None] * real[:, None]
    one, other = both_gradients(position_bias, real)
    assert torch.allclose(one, other, atol=1e-10)
    monkeypatch.setattr(bias_lookup, 'MAX_NUMBERS', 1)
    assert torch.allclose(both_gradients(position_bias, real)[1], one, atol=1e-10)


@pytest.mark.parametrize('windows', [*Windows.fit(56, 40, 16), *Windows.fit(20, 14, 7)])
def test_the_gradient_by_blocks_of_dense_maps(windows):
    one, other = both_gradients(PositionBias.dense(windows, 'cpu'))
    assert torch.allclose(one, other, atol=1e-10)


def test_a_training_step_without_additions_by_index(monkeypatch):
    """As on a GPU: equal gradients of a whole model, and torch finds nothing in no fixed order."""
    images, mask = torch.randn(2, 3, 256, 256), mask_maps(2, (16, 16))
    model = build_um_mae()
    gradients = []
    for by_blocks in (False, True):

        def forced(table, index, blocks, by_blocks=by_blocks):
            return look_up(table, index, blocks, by_blocks)

        monkeypatch.setattr('mmum.models.windows.look_up', forced)
        model.zero_grad()
        torch.use_deterministic_algorithms(True)
        try:
            model.loss(images, data_samples(mask))['loss'].backward()
        finally:
            torch.use_deterministic_algorithms(False)
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    one, other = gradients
    for name in one:
        assert torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-6), name
