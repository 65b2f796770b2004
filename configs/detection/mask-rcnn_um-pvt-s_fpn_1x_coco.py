# Mask R-CNN with UM-MAE PVT-S on COCO, 12 epochs.
#
#   bash tools/dist_train.sh configs/detection/mask-rcnn_um-pvt-s_fpn_1x_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_pvt_s/epoch_200.pth data_root=data/coco/
#
# Hardware: 8 GPUs x 2 images. The paper reports no such detector; not run here.
_base_ = './mask-rcnn_um-swin-t_fpn_1x_coco.py'
model = dict(
    backbone=dict(_delete_=True, **_base_.um_pvt_s), neck=dict(in_channels=[64, 128, 320, 512])
)
