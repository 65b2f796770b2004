# Cascade Mask R-CNN with the stock Swin-B on COCO, 36 epochs, multi-scale and crops.
#
#   bash tools/dist_train.sh configs/detection/cascade-mask-rcnn_swin-b_fpn_3x_coco.py 8 --amp \
#       --cfg-options pretrained=SWIN_B.pth data_root=data/coco/
#
# The checkpoint: public Swin weights in any names, or a UM-MAE pre-training of them
# (um_mae_stock_swin_t_adapt.py).
# Hardware: 8 GPUs x 2 images. The paper reports no such detector; not run here.
_base_ = './cascade-mask-rcnn_swin-t_fpn_3x_coco.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.3),
    neck=dict(in_channels=[128, 128 * 2, 128 * 4, 128 * 8]),
)
