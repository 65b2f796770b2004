# UM-MAE PVT-S with a decoder of cross-attention alone, which reads stages 3 and 4.
#
#   bash tools/dist_train.sh configs/selfsup/um_cross_mae_pvt_s.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The paper does not have it; not run here at this size.
_base_ = './um_mae_pvt_s.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='UMCrossDecoder',
        in_channels=[320, 512],
        stages=(2, 3),
        embed_dims=512,
        depth=2,
        num_heads=16,
        predict_ratio=0.25,
    )
)
