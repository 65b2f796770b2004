"""Windows of a feature map and the position bias between the tokens in them, for dense and compact maps alike.

What depends only on the positions of the tokens is worked out once per stage and shared by its blocks: a
:class:`WindowLayout`. Each block then evaluates its position MLP once for the few distinct offsets (a table) and looks
every pair of tokens up in it - the same numbers as an MLP per pair of every window, for far less work.
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F

# Added between tokens that share a window only because of the cyclic shift, as in Swin.
MASKED_BIAS = -100.


@dataclass(frozen=True)
class WindowLayout:
    """How one stage's map is cut into windows, and which table entry each pair of tokens reads.

    Attributes:
        window (int): Side of a window in tokens.
        shift (int): Cyclic shift in tokens, 0 for none.
        height (int): Height of the map in tokens, before padding.
        width (int): Width of the map in tokens, before padding.
        offsets (Tensor): (K, 2) float, the distinct offsets d (row, column) from query to key.
        index (Tensor): int64 (B, L, L) entries of the table for query and key; entry K is the wall. B is 1 (the same in
            every window), the number of windows of one map, or that of the whole batch. L = window ** 2.
    """
    window: int
    shift: int
    height: int
    width: int
    offsets: torch.Tensor
    index: torch.Tensor

    @property
    def log_offsets(self):
        """The offsets as a position MLP takes them: ``sign(d) * log(1 + |d|)``."""
        return self.offsets.sign() * self.offsets.abs().log1p()

    @property
    def padded(self):
        """Height and width of the map padded to whole windows."""
        return tuple(-(-side // self.window) * self.window for side in (self.height, self.width))

    def split(self, x, parts=1, heads=1, fill=None):
        """A map -> its windows: pad at the bottom and right, shift, cut. See :meth:`join`.

        Args:
            x (Tensor): (N, H, W, parts * heads * D).
            parts (int): For example 3: queries, keys, values. Defaults to 1.
            heads (int): Defaults to 1.
            fill (Tensor, optional): (parts * heads * D, ) of padding tokens. Defaults to None: zeros.

        Returns:
            Tensor: (parts, N * windows, heads, L, D), contiguous.
        """
        n, _, _, c = x.shape
        height, width = self.padded
        if fill is not None and (height, width) != (self.height, self.width):
            fill = fill.to(x.dtype)
            x = torch.cat([x, fill.expand(n, self.height, width - self.width, c)], 2)
            x = torch.cat([x, fill.expand(n, height - self.height, width, c)], 1)
        else:
            x = F.pad(x, (0, 0, 0, width - self.width, 0, height - self.height))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        w = self.window
        x = x.view(n, height // w, w, width // w, w, parts, heads, -1)
        return x.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(parts, -1, heads, w * w, c // parts // heads)

    def join(self, windows):
        """Windows (N * windows, heads, L, D) -> (N, H, W, heads * D): the inverse of :meth:`split`."""
        height, width = self.padded
        _, heads, _, d = windows.shape
        w = self.window
        x = windows.view(-1, height // w, width // w, heads, w, w, d).permute(0, 1, 4, 2, 5, 3, 6)
        x = x.reshape(-1, height, width, heads * d)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, :self.height, :self.width]

    def bias(self, table):
        """Looks the bias of every pair up.

        Args:
            table (Tensor): (K, heads), one row for each of ``offsets``.

        Returns:
            Tensor: (B, heads, L, L).
        """
        table = torch.cat([table, table.new_full((1, table.shape[1]), MASKED_BIAS)]).t().contiguous()  # (heads, K + 1)
        # head by head: the backward of gather adds along rows, many times faster on a CPU than an embedding's
        bias = table.gather(1, self.index.flatten().expand(len(table), -1))
        return bias.view(len(table), *self.index.shape).transpose(0, 1)


def fit_window(height, width, window, shift, pad_small_map):
    """Window and shift for a map.

    Where a side is not larger than the window there is nothing to shift between: the window shrinks to the smaller side
    and stays unshifted (the rule of classification and of pre-training). With ``pad_small_map`` the map is padded to the
    window instead and shifting goes on (the rule of detection).

    Returns:
        tuple[int, int]: Window and shift.
    """
    if min(height, width) <= window and not pad_small_map:
        return min(height, width), 0
    return window, shift


def _offset_grid(reach, steps, device):
    """All offsets in -reach..reach with ``steps`` to the unit: (K, 2)."""
    d = torch.arange(-reach * steps, reach * steps + 1, device=device, dtype=torch.float32) / steps
    return torch.cartesian_prod(d, d)


def _pair_index(positions, reach, steps):
    """Table entries of all pairs of tokens: (..., L, 2) positions -> (..., L, L) int64."""
    # An offset's entry is linear in it, so it is the difference of what its two tokens have. Beyond the reach, and outside of
    # the table, lie only pairs that the shift wrapped around or that padding is in: walls take their place.
    width = 2 * reach * steps + 1
    at = (positions * steps).round().long()  # exact multiples of 1 / steps
    entry = at[..., 0] * width + at[..., 1]
    return entry[..., None, :] - entry[..., :, None] + width**2 // 2


def _walls(window, shift, rows, columns, device):
    """Which pairs the cyclic shift brought together: bool (rows * columns windows, L, L).

    Only windows of the last row and column hold tokens from both ends of the map.
    """
    wrapped = torch.arange(window, device=device) >= window - shift
    last_row = (torch.arange(rows, device=device) == rows - 1)[:, None] & wrapped
    last_column = (torch.arange(columns, device=device) == columns - 1)[:, None] & wrapped
    region = last_row[:, None, :, None].long() * 2 + last_column[None, :, None, :]  # (rows, columns, window, window)
    region = region.reshape(rows * columns, window**2)
    return region[:, :, None] != region[:, None, :]


def dense_layout(height, width, window, shift, pad_small_map, device):
    """The layout of a dense map: positions are 0..window-1 inside every window, so all windows share one table.

    Padding tokens take part in attention, as in Swin.
    """
    window, shift = fit_window(height, width, window, shift, pad_small_map)
    side = torch.arange(window, device=device, dtype=torch.float32)
    index = _pair_index(torch.cartesian_prod(side, side), window - 1, 1)[None]
    offsets = _offset_grid(window - 1, 1, device)
    if shift:
        walls = _walls(window, shift, -(-height // window), -(-width // window), device)
        index = index.masked_fill(walls, len(offsets))
    return WindowLayout(window, shift, height, width, offsets, index)


def compact_layout(positions, window, shift, tokens_per_unit):
    """The layout of a map of the compact image, where a token's position is where it truly was.

    Padding tokens (maps that are not whole windows) have no true position: they are walled off.

    Args:
        positions (Tensor): (N, 2, H, W) true coordinates, see :func:`mmum.masking.patch_positions`.
        window (int): Side of a window in tokens of the compact map.
        shift (int): Cyclic shift in tokens.
        tokens_per_unit (float): Tokens along one side of a mask unit: 4, 2, 1, 0.5 in the four stages.
    """
    n, _, height, width = positions.shape
    window, shift = fit_window(height, width, window, shift, pad_small_map=False)
    # Where a token spans more than a unit, its top-left unit still lies at one of two places in its cell: fractions.
    steps = max(1, round(1 / tokens_per_unit))
    # With t tokens along a unit, the token at i of the compact map lies at i + t * (i // t) + t * b, where b (0 or 1) is the
    # unit's place in its cell. So two tokens of a window are at most this far apart, wherever the window begins.
    t = max(1, round(tokens_per_unit))
    reach = window - 1 + t * -(-(window - 1) // t) + t
    layout = WindowLayout(window, shift, height, width, _offset_grid(reach, steps, positions.device), None)
    rows, columns = (side // window for side in layout.padded)
    # (N, windows, L, 3): row, column, and 1 where there is a token; padding gets 0
    tokens = F.pad(positions.permute(0, 2, 3, 1), (0, 1), value=1.)
    tokens = layout.split(tokens).view(n, rows * columns, window**2, 3)  # one part, one head
    index = _pair_index(tokens[..., :2], reach, steps)
    walls = None
    if shift:
        walls = _walls(window, shift, rows, columns, positions.device)
    if layout.padded != (height, width):
        present = tokens[..., 2]
        padding = present[..., :, None] != present[..., None, :]
        walls = padding if walls is None else walls | padding
    if walls is not None:
        index = index.masked_fill(walls, len(layout.offsets))
    return WindowLayout(window, shift, height, width, layout.offsets, index.flatten(0, 1))
