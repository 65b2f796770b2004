# PVT-S fine-tuned on ImageNet-1K from UM-MAE, 100 epochs at 256 px.
#
#   bash tools/dist_train.sh configs/classification/um-pvt-small_8xb128-coslr-100e_in1k.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_pvt_s/epoch_200.pth data_root=FOLDER
#
# Hardware: 8 GPUs x 128 images. Top-1: 79.31 (the paper's, not run here).
_base_ = './um-swin-tiny_8xb128-coslr-100e_in1k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='UMPVT',
        arch='small',
        sr_ratios=(8, 4, 2, 1),  # dense, after (4, 2, 1, 1) on the compact image
        learn_positions=True,
        drop_path_rate=0.1,
        norm_cfg=None,
        init_cfg=_base_.model.backbone.init_cfg,
    ),
    neck=dict(in_channels=512),
    head=dict(in_channels=512),
)
