# Linear probe of PVT-S on ImageNet-1K after UM-MAE: a linear layer on frozen features, 90 epochs at
# 256 px.
#
#   bash tools/dist_train.sh configs/classification/um-pvt-small_8xb512-linear-coslr-90e_in1k.py 8 \
#       --amp \
#       --cfg-options pretrained=work_dirs/um_mae_pvt_s/epoch_200.pth data_root=FOLDER
#
# Hardware: 8 GPUs x 512 images x 4 accumulated steps. The paper does not report it; not run here.
_base_ = './um-swin-tiny_8xb512-linear-coslr-90e_in1k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='UMPVT',
        arch='small',
        sr_ratios=(8, 4, 2, 1),
        frozen_stages=4,
        init_cfg=_base_.model.backbone.init_cfg,
    ),
    neck=dict(in_channels=512),
    head=dict(in_channels=512),
)
