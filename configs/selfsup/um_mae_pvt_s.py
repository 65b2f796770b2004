# UM-MAE PVT-S, 200 epochs on unlabelled images at 256 px.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_pvt_s.py 8 --amp --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. Hours: 21.3 (the paper's). ImageNet-1K top-1 after fine-tuning: 79.31 (the
# paper's, not run here).
_base_ = './um_mae_swin_t.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='UMPVT',
        arch='small',
        sr_ratios=(4, 2, 1, 1),  # on the compact image
        dense_sr_ratios=(8, 4, 2, 1),  # for features (k-NN)
    ),
    neck=dict(in_channels=512),
)
