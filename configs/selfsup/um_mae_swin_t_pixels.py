# UM-MAE Swin-T on pixels that are not normalised per unit: pictures keep their colours.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_t_pixels.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs, hours as the base. Not run here.
_base_ = './um_mae_swin_t.py'
model = dict(head=dict(norm_pix=False))
