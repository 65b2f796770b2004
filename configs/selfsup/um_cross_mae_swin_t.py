# UM-MAE Swin-T with a decoder of cross-attention alone (CrossMAE, arXiv 2401.14391). It reads
# stages 3 and 4, and predicts a third of the removed units.
#
#   bash tools/dist_train.sh configs/selfsup/um_cross_mae_swin_t.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The paper does not have it; not run here at this size.
_base_ = './um_mae_swin_t.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='UMCrossDecoder',
        in_channels=[96 * 2**2, 96 * 2**3],
        stages=(2, 3),
        embed_dims=512,
        depth=2,
        num_heads=16,
        predict_ratio=0.25,
    )
)
