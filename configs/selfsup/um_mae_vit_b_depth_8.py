# UM-MAE ViT-B with a decoder of 8 blocks instead of 2, as MAE has.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_vit_b_depth_8.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs, hours as the base. Not run here.
_base_ = './um_mae_vit_b.py'
model = dict(neck=dict(depth=8))
