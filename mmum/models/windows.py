"""Windows of a feature map, and the position bias between the tokens in a window.

:class:`Windows` is the geometry: how a map is padded, shifted, cut and put together again.
:class:`PositionBias` knows which offset lies between every two tokens of a window, for dense maps
and for maps of the compact image alike. Both depend on the sizes and the mask alone, so a stage
makes them once and its blocks share them. A block then evaluates its position MLP for the few
distinct offsets (a table) and looks every pair of tokens up in it: the same numbers as an MLP per
pair of every window, for far less work.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmum.errors import InputError
from mmum.models.bias_lookup import Blocks, look_up

# Added between tokens that share a window only because of the cyclic shift, as in Swin.
MASKED_BIAS = -100.0


@dataclass(frozen=True)
class Windows:
    """Geometry of the windows that cut the map of a stage.

    Attributes:
        size (int): Side of a window in tokens.
        shift (int): Cyclic shift in tokens; 0 for none.
        height (int): Height of the map in tokens, before padding.
        width (int): Width of the map in tokens, before padding.
    """

    size: int
    shift: int
    height: int
    width: int

    @classmethod
    def fit(
        cls, height: int, width: int, size: int, pad_small_map: bool = False
    ) -> list['Windows']:
        """Windows that fit a map: unshifted, and shifted by half a window where that is possible.

        Where a side is not longer than the window, there is nothing to shift between: the window
        shrinks to the shorter side and stays unshifted (the rule of classification and of
        pre-training). With ``pad_small_map`` the map is padded to the window instead, and shifting
        goes on (the rule of detection).

        Args:
            height (int): Height of the map in tokens.
            width (int): Width of the map in tokens.
            size (int): Side of a window in tokens.
            pad_small_map (bool): Whether to pad small maps. Defaults to False.

        Returns:
            list[Windows]: One, or two of which the second is shifted; blocks take them in turn.
        """
        if min(height, width) <= size and not pad_small_map:
            return [cls(min(height, width), 0, height, width)]
        return [cls(size, shift, height, width) for shift in dict.fromkeys((0, size // 2))]

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the map padded to whole windows."""
        height, width = (-(-side // self.size) * self.size for side in (self.height, self.width))
        return height, width

    @property
    def grid(self) -> tuple[int, int]:
        """Number of windows per column and per row of the padded map."""
        height, width = self.padded
        return height // self.size, width // self.size

    def split(
        self, x: Tensor, parts: int = 1, heads: int = 1, fill: Tensor | None = None
    ) -> Tensor:
        """Pad a map at the bottom and right, shift it, cut it. The inverse is :meth:`join`.

        Args:
            x (Tensor): (N, H, W, parts * heads * D).
            parts (int): Number of parts, for example 3: queries, keys, values. Defaults to 1.
            heads (int): Number of heads. Defaults to 1.
            fill (Tensor, optional): Padding tokens, (parts * heads * D, ). Defaults to None: zeros.

        Returns:
            Tensor: (parts, N * windows, heads, L, D) with L = size ** 2, contiguous.
        """
        n, _, _, c = x.shape
        height, width = self.padded
        if fill is not None and (height, width) != (self.height, self.width):
            if torch.onnx.is_in_onnx_export() and torch.jit.is_tracing():
                raise InputError(
                    f'a map of {self.height}x{self.width} tokens is padded to whole windows, which '
                    "torch's older ONNX exporter writes wrongly: give dynamo=True"
                )
            fill = fill.to(x.dtype)  # a part of no tokens would be no valid ONNX
            if width > self.width:
                x = torch.cat([x, fill.expand(n, self.height, width - self.width, c)], 2)
            if height > self.height:
                x = torch.cat([x, fill.expand(n, height - self.height, width, c)], 1)
        else:
            x = F.pad(x, (0, 0, 0, width - self.width, 0, height - self.height))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        w = self.size
        x = x.view(n, height // w, w, width // w, w, parts, heads, -1)
        x = x.permute(5, 0, 1, 3, 6, 2, 4, 7)
        return x.reshape(parts, -1, heads, w * w, c // parts // heads)

    def join(self, windows: Tensor) -> Tensor:
        """Put windows together: (N * windows, heads, L, D) -> (N, H, W, heads * D)."""
        height, width = self.padded
        _, heads, _, d = windows.shape
        w = self.size
        x = windows.view(-1, height // w, width // w, heads, w, w, d).permute(0, 1, 4, 2, 5, 3, 6)
        x = x.reshape(-1, height, width, heads * d)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, : self.height, : self.width]

    def attn_mask(self, device: torch.device) -> Tensor:
        """Pairs of tokens that only the cyclic shift brought together: bool (windows, L, L)."""
        # Only the windows of the last row and column hold tokens from both ends of the map.
        rows, columns = self.grid
        wrapped = torch.arange(self.size, device=device) >= self.size - self.shift
        last_row = (torch.arange(rows, device=device) == rows - 1)[:, None] & wrapped
        last_column = (torch.arange(columns, device=device) == columns - 1)[:, None] & wrapped
        # (rows, columns, size, size) -> (windows, L)
        region = last_row[:, None, :, None].long() * 2 + last_column[None, :, None, :]
        region = region.reshape(rows * columns, self.size**2)
        return region[:, :, None] != region[:, None, :]


@dataclass(frozen=True)
class PositionBias:
    """Offsets between every two tokens that share a window, and the bias looked up by them.

    Attributes:
        offsets (Tensor): float32 (K, 2), the distinct offsets (row, column) from query to key.
        index (Tensor): int64 (B, L, L), entry of every query and key in a table over the offsets;
            K stands for pairs that must not attend to each other. B is 1 (the same in every
            window), the number of windows of one map, or of the whole batch.
        blocks (Blocks): The same by fixed places and few steps, for a backward without additions
            by index.
    """

    offsets: Tensor
    index: Tensor
    blocks: Blocks

    @classmethod
    def dense(cls, windows: Windows, device: torch.device) -> 'PositionBias':
        """Bias of a dense map: positions are 0..size-1 in every window, so all share one table.

        Padding tokens take part in attention, as in Swin.

        Args:
            windows (Windows): Windows of the map.
            device (torch.device): Device of the result.
        """
        side = torch.arange(windows.size, device=device, dtype=torch.float32)
        index = _pair_index(torch.cartesian_prod(side, side), windows.size - 1, 1)[None]
        offsets = _offset_grid(windows.size - 1, 1, device)
        if windows.shift:
            index = index.masked_fill(windows.attn_mask(device), len(offsets))
        places = torch.arange(windows.size, device=device)
        blocks = Blocks.make(places, windows.size - 1, 1, 0.0, 0, windows.size)
        return cls(offsets, index, blocks)

    @classmethod
    def compact(cls, windows: Windows, positions: Tensor, tokens_per_unit: float) -> 'PositionBias':
        """Bias of a map of the compact image, where the position of a token is its true one.

        Padding tokens (of maps that are not whole windows) have no true position: they are masked.

        Args:
            windows (Windows): Windows of the map.
            positions (Tensor): True coordinates (N, 2, H, W); see
                :func:`mmum.masking.patch_positions`.
            tokens_per_unit (float): Tokens along the side of a mask unit: 4, 2, 1, 0.5 in the four
                stages.
        """
        n, device = len(positions), positions.device
        rows, columns = windows.grid
        # Where a token spans more than a unit, its top-left unit still lies at one of two places
        # in its cell: fractions.
        steps = max(1, round(1 / tokens_per_unit))
        # With t tokens along a unit, the token at i of the compact map lies at
        # i + t * (i // t) + t * b, where b (0 or 1) is the place of the unit in its cell. So two
        # tokens of a window are at most this far apart, wherever the window begins.
        t = max(1, round(tokens_per_unit))
        reach = windows.size - 1 + t * -(-(windows.size - 1) // t) + t
        offsets = _offset_grid(reach, steps, device)
        # (N, windows, L, 3): row, column, and 1 for a token; padding gets 0
        tokens = F.pad(positions.permute(0, 2, 3, 1), (0, 1), value=1.0)
        tokens = windows.split(tokens).view(n, rows * columns, windows.size**2, 3)
        index = _pair_index(tokens[..., :2], reach, steps)
        masked = windows.attn_mask(device) if windows.shift else None
        if windows.padded != (windows.height, windows.width):
            present = tokens[..., 2]
            padding = present[..., :, None] != present[..., None, :]
            masked = padding if masked is None else masked | padding
        if masked is not None:
            index = index.masked_fill(masked, len(offsets))
        # Where all windows begin at the same place in a cell, i // t of every place is known, and
        # tokens of a unit take steps together. Otherwise it can differ by one in query and key,
        # which is one more step.
        aligned = windows.size % t == 0 or windows.grid == (1, 1)
        places = torch.arange(windows.size, device=device)
        places = places + t * ((places + (windows.shift % t if aligned else 0)) // t)
        group = math.gcd(windows.size, windows.shift, t) if aligned else 1
        blocks = Blocks.make(places, reach, steps, t / steps, 1 if aligned else 2, group)
        return cls(offsets, index.flatten(0, 1), blocks)

    @property
    def log_offsets(self) -> Tensor:
        """The offsets as a position MLP takes them: ``sign(d) * log(1 + |d|)``, (K, 2)."""
        return self.offsets.sign() * self.offsets.abs().log1p()

    def lookup(self, table: Tensor) -> Tensor:
        """Look up the bias of every pair.

        Args:
            table (Tensor): (K, heads), one row per offset.

        Returns:
            Tensor: (B, heads, L, L).
        """
        masked = table.new_full((1, table.shape[1]), MASKED_BIAS)
        table = torch.cat([table, masked]).t().contiguous()  # (heads, K + 1)
        return look_up(table, self.index, self.blocks).transpose(0, 1)


def _offset_grid(reach: int, steps: int, device: torch.device) -> Tensor:
    """All offsets from -reach to reach in steps of 1 / steps: (K, 2)."""
    d = torch.arange(-reach * steps, reach * steps + 1, device=device, dtype=torch.float32) / steps
    return torch.cartesian_prod(d, d)


def _pair_index(positions: Tensor, reach: int, steps: int) -> Tensor:
    """Table entries of all pairs of tokens: (..., L, 2) positions -> int64 (..., L, L)."""
    # The entry of an offset is linear in it, so it is the difference of a number of each token.
    # Beyond the reach, and outside of the table, lie only pairs that the shift wrapped around or
    # that padding is part of: those are masked.
    width = 2 * reach * steps + 1
    at = (positions * steps).round().long()  # exact multiples of 1 / steps
    entry = at[..., 0] * width + at[..., 1]
    return entry[..., None, :] - entry[..., :, None] + width**2 // 2
