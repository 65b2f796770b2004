# UM-MAE ViT-B with a decoder of cross-attention alone, whose blocks read mixes of four blocks of
# the encoder.
#
#   bash tools/dist_train.sh configs/selfsup/um_cross_mae_vit_b.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The paper does not have it; not run here at this size.
_base_ = './um_mae_vit_b.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='UMCrossDecoder',
        in_channels=[768] * 4,
        stages=(2, 5, 8, 11),
        stride=16,
        embed_dims=512,
        depth=2,
        num_heads=16,
        predict_ratio=0.25,
    )
)
