# UM-MAE Swin-T with a decoder that reads stage 3 too, which has one token per sampled unit.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_t_two_stages.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The paper does not have it; not run here at this size.
_base_ = './um_mae_swin_t.py'
model = dict(neck=dict(in_channels=[96 * 2**2, 96 * 2**3], stages=(2, 3)))
