# Mask R-CNN with the stock Swin-T on COCO, 12 epochs.
#
#   bash tools/dist_train.sh configs/detection/mask-rcnn_swin-t_fpn_1x_coco.py 8 --amp \
#       --cfg-options pretrained=SWIN_T.pth data_root=data/coco/
#
# The checkpoint: public Swin weights in any names, or a UM-MAE pre-training of them
# (um_mae_stock_swin_t_adapt.py).
# Hardware: 8 GPUs x 2 images. The paper reports no such detector; not run here.
_base_ = './mask-rcnn_um-swin-t_fpn_1x_coco.py'
model = dict(backbone=dict(_delete_=True, **_base_.stock_swin_t))
