# UM-MAE Swin-L with a decoder of 2 blocks instead of 8.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_l_depth_2.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs, hours as the base. Not run here.
_base_ = './um_mae_swin_l.py'
model = dict(neck=dict(depth=2))
