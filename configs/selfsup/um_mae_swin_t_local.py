# UM-MAE Swin-T with the decoder of um_mae_swin_t_two_stages.py, whose attention prefers near units.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_t_local.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The paper does not have it; not run here at this size.
_base_ = './um_mae_swin_t_two_stages.py'
model = dict(neck=dict(distance_bias=2.0))
