# Mask R-CNN with the stock Swin-L on COCO, 12 epochs.
#
#   bash tools/dist_train.sh configs/detection/mask-rcnn_swin-l_fpn_1x_coco.py 8 --amp \
#       --cfg-options pretrained=SWIN_L.pth data_root=data/coco/
#
# The checkpoint: public Swin weights in any names, or a UM-MAE pre-training of them
# (um_mae_stock_swin_t_adapt.py).
# Hardware: 8 GPUs x 2 images. The paper reports no such detector; not run here.
_base_ = './mask-rcnn_swin-t_fpn_1x_coco.py'
model = dict(
    backbone=dict(arch='large', drop_path_rate=0.3, with_cp=True),
    neck=dict(in_channels=[192, 192 * 2, 192 * 4, 192 * 8]),
)
