"""The global self-attention of HTC++ on top of FPN."""

import torch


def test_global_attention_begins_as_it_was():
    from mmum.models.downstream.global_attention_fpn import GlobalAttention, GlobalAttentionFPN

    layer = GlobalAttention(64)
    layer.init_weights()
    x = torch.randn(2, 64, 5, 7)
    assert torch.equal(layer(x), x)
    torch.nn.init.normal_(layer.block.attn.proj.weight)
    torch.nn.init.normal_(layer.block.mlp.fc2.weight)
    assert not torch.allclose(layer(x), x)
    # every token sees all others, in any order
    order = torch.randperm(35)
    shuffled = x.flatten(2)[..., order].view_as(x)
    torch.testing.assert_close(
        layer(shuffled), layer(x).flatten(2)[..., order].view_as(x), atol=1e-4, rtol=1e-4
    )
    neck = GlobalAttentionFPN([16, 32, 64, 128], out_channels=32, num_outs=5)
    neck.init_weights()
    outs = neck([torch.randn(1, 16 * 2**i, 32 // 2**i, 32 // 2**i) for i in range(4)])
    assert [tuple(out.shape[1:]) for out in outs] == [
        (32, side, side) for side in (32, 16, 8, 4, 2)
    ]
