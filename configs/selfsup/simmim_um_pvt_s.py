# The paper's SimMIM baseline: the PVT-S of UM-MAE, dense, 75 % of the units masked at random, L1,
# 200 epochs.
#
#   bash tools/dist_train.sh configs/selfsup/simmim_um_pvt_s.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. Hours: 38.0 (the paper's). ImageNet-1K top-1 after fine-tuning: 79.28 (the
# paper's, not run here).
_base_ = './simmim_um_swin_t.py'
model = dict(
    backbone=dict(_delete_=True, type='UMPVT', arch='small', sr_ratios=(8, 4, 2, 1), compact=False),
    neck=dict(in_channels=512),
)
