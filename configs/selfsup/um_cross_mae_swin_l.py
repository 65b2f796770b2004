# UM-MAE Swin-L with a decoder of cross-attention alone, 8 blocks deep as the paper's for Swin-L.
#
#   bash tools/dist_train.sh configs/selfsup/um_cross_mae_swin_l.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The paper does not have it; not run here at this size.
_base_ = './um_mae_swin_l.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='UMCrossDecoder',
        in_channels=[192 * 2**2, 192 * 2**3],
        stages=(2, 3),
        embed_dims=512,
        depth=8,
        num_heads=16,
        predict_ratio=0.25,
    )
)
