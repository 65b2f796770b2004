# Mask R-CNN with UM-MAE PVT-S on COCO, 12 epochs.
#
#   bash tools/dist_train.sh configs/detection/mask-rcnn_um-pvt-s_fpn_1x_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_pvt_s/epoch_200.pth data_root=data/coco/
#
# Hardware: 8 GPUs x 2 images. The paper reports no such detector; nothing was measured here either.
# 40.9 M parameters, 301 GMAC at 1280x800. Memory, an estimate of docs/detectors.md: 0.7 GB, and 1.7 GB an image in float32.
_base_ = './mask-rcnn_um-swin-t_fpn_1x_coco.py'
model = dict(backbone=dict(_delete_=True, **_base_.um_pvt_s), neck=dict(in_channels=[64, 128, 320, 512]))
