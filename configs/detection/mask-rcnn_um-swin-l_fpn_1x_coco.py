# Mask R-CNN with UM-MAE Swin-L on COCO, 12 epochs.
#
#   bash tools/dist_train.sh configs/detection/mask-rcnn_um-swin-l_fpn_1x_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_l/epoch_800.pth data_root=data/coco/
#
# Hardware: 8 GPUs x 2 images. The paper reports no such detector; not run here.
_base_ = './mask-rcnn_um-swin-t_fpn_1x_coco.py'
model = dict(
    backbone=dict(arch='large', pos_mlp_dims=64, drop_path_rate=0.3, with_cp=True),
    neck=dict(in_channels=[192, 192 * 2, 192 * 4, 192 * 8]),
)
