# GFL with UM-MAE PVT-S on COCO, 25 epochs at 1024 px with large-scale jitter, as the authors ran
# it.
#
#   bash tools/dist_train.sh configs/detection/gfl_um-pvt-s_fpn_25e_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_pvt_s/epoch_200.pth data_root=data/coco/
#
# The authors start from weights fine-tuned on ImageNet-1K, and learn the positions, as here.
# Hardware: 8 GPUs x 2 images. The authors' README prints AP of HTC++ only; not run here.
_base_ = './gfl_um-swin-t_fpn_25e_coco.py'
model = dict(
    backbone={**_base_.um_pvt_s, 'out_indices': (1, 2, 3), '_delete_': True},
    neck=dict(in_channels=[128, 320, 512]),
)
