# The pre-training of um_mae_swin_nano_nuclei.py with a decoder of cross-attention alone.
#
#   python tools/train.py configs/selfsup/um_cross_mae_swin_nano_nuclei.py --amp
#
# Hardware: 2 CPU cores, or a GPU.
_base_ = './um_mae_swin_nano_nuclei.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='UMCrossDecoder',
        in_channels=[48 * 2**2, 48 * 2**3],
        stages=(2, 3),
        embed_dims=128,
        depth=2,
        num_heads=4,
        predict_ratio=0.25,
    )
)
