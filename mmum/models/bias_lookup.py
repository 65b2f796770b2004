"""Look up a position bias, with a backward that adds nothing by index on a GPU.

On a GPU, adding the gradients of millions of pairs to some thousand entries of a table is slow, and
its order is not fixed: two runs differ. But on the compact image the offset of two tokens is a
fixed one, that of their places in the window, plus a step of -1, 0 or 1 units in each direction,
which only the sampled places of their two units decide. So the bias of every pair of units is one
of nine blocks of a few pairs of tokens. Gradients are summed by block, as products with one-hot
rows, and then from blocks to the table in the same way.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_NUMBERS = 2**22  # in the one-hot rows that are made at a time


@dataclass(frozen=True)
class Blocks:
    """Places of a table by fixed places in a window and steps, along one direction.

    Attributes:
        index (Tensor): int64 (steps, size, size), the row (or column) of the table for every step,
            query and key; -1 where there is none.
        side (int): Number of rows of the table.
        group (int): Side of the squares of tokens that take steps together.
    """

    index: Tensor
    side: int
    group: int

    @classmethod
    def make(
        cls, places: Tensor, reach: int, fractions: int, step: float, furthest: int, group: int
    ) -> 'Blocks':
        """Blocks of a table of offsets from -reach to reach.

        Args:
            places (Tensor): int64 (size, ), fixed places of the tokens of a window.
            reach (int): Largest offset in the table.
            fractions (int): Entries of the table per offset of 1.
            step (float): Length of a step.
            furthest (int): Largest number of steps.
            group (int): Side of the squares of tokens that take steps together.
        """
        side = 2 * reach * fractions + 1
        steps = step * torch.arange(-furthest, furthest + 1, device=places.device)
        offsets = (places - places[:, None]) + steps[:, None, None]
        index = ((offsets + reach) * fractions).round().long()
        return cls(index.masked_fill((index < 0) | (index >= side), -1), side, group)

    def sum_by_entry(self, grad: Tensor, index: Tensor) -> Tensor:
        """Sum the gradients of the pairs that read the same entry.

        Args:
            grad (Tensor): (heads, B, L, L).
            index (Tensor): int64 (B, L, L), the entry that every pair reads; that after all entries
                for pairs that must not attend to each other.

        Returns:
            Tensor: (heads, side ** 2 + 1), the last one 0.
        """
        steps, w, _ = self.index.shape
        g, n, heads, batch = self.group, w // self.group, len(grad), len(index)
        if steps == 1:  # a dense map, whose masked pairs fill no squares
            grad = grad.masked_fill(index == self.side**2, 0)
        # Step of every pair of squares, by the entry of its first pair of tokens.
        first = index.view(batch, n, g, n, g, n, g, n, g)[:, :, 0, :, 0, :, 0, :, 0]
        codes = self._steps(first, steps).view(batch, -1).t()  # (P, B)
        # Rows and columns of query and key, each as square and place in it
        grad = grad.reshape(heads, batch, n, g, n, g, n, g, n, g)
        grad = grad.permute(2, 4, 6, 8, 1, 0, 3, 5, 7, 9).reshape(n**4, batch, -1)
        total = grad.new_zeros(n**4, steps**2 + 1, grad.shape[2])
        part = max(1, MAX_NUMBERS // total[..., 0].numel())
        for some_codes, grads in zip(codes.split(part, 1), grad.split(part, 1)):
            one_hot = F.one_hot(some_codes, steps**2 + 1).to(grad.dtype)
            total.baddbmm_(one_hot.transpose(1, 2), grads)
        total = total[:, :-1].reshape(n, n, n, n, steps, steps, heads, g, g, g, g)
        # (heads, row step, rows of query and key, column step, columns of query and key)
        total = total.permute(6, 4, 0, 7, 2, 9, 5, 1, 8, 3, 10)
        total = total.reshape(heads, steps * w * w, steps * w * w)
        rows = F.one_hot(self.index.flatten() + 1, self.side + 1)[:, 1:].to(grad.dtype)
        return F.pad((rows.t() @ total @ rows).flatten(1), (0, 1))

    def _steps(self, first: Tensor, steps: int) -> Tensor:
        """Row and column step of every pair of squares in one number.

        Args:
            first (Tensor): int64 (B, n, n, n, n), entry of the first pair of tokens of a pair of
                squares: row and column of the query, row and column of the key.
            steps (int): Number of steps in a direction.
        """
        entries = self.index[:, :: self.group, :: self.group]  # (steps, n, n)
        row, column = first // self.side, first % self.side
        rows = row == entries[:, None, :, None, :, None]
        columns = column == entries[:, None, None, :, None, :]
        code = rows.to(torch.uint8).argmax(0) * steps + columns.to(torch.uint8).argmax(0)
        # What is masked, and pairs of padding tokens, whose outputs nobody reads.
        return code.masked_fill(~(rows.any(0) & columns.any(0)), steps**2)


class _LookUp(torch.autograd.Function):
    """Read a table at an index; sum the gradients by blocks."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, blocks: Blocks) -> Tensor:
        """(heads, K + 1) and int64 (B, L, L) -> (heads, B, L, L)."""
        ctx.save_for_backward(index)
        ctx.blocks = blocks
        return table[:, index]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Sum the gradients of every entry."""
        (index,) = ctx.saved_tensors
        return ctx.blocks.sum_by_entry(grad, index), None, None


def look_up(table: Tensor, index: Tensor, blocks: Blocks, by_blocks: bool | None = None) -> Tensor:
    """Look up the bias of every pair.

    Args:
        table (Tensor): (heads, K + 1).
        index (Tensor): int64 (B, L, L).
        blocks (Blocks): The same by fixed places and steps.
        by_blocks (bool, optional): Whether the backward sums by blocks. Defaults to None: on a GPU.
            On a CPU adding by index is faster, and its order is fixed.

    Returns:
        Tensor: (heads, B, L, L).
    """
    if by_blocks or (by_blocks is None and table.device.type != 'cpu'):
        return _LookUp.apply(table, index, blocks)
    # Head by head: the backward of gather adds along rows, many times faster on a CPU than that of
    # an embedding.
    bias = table.gather(1, index.flatten().expand(len(table), -1))
    return bias.view(len(table), *index.shape)
