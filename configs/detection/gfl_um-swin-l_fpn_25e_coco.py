# GFL with UM-MAE Swin-L on COCO, 25 epochs at 1024 px with large-scale jitter, as the authors ran
# it.
#
#   bash tools/dist_train.sh configs/detection/gfl_um-swin-l_fpn_25e_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_l/epoch_800.pth data_root=data/coco/
#
# The authors have GFL with Swin-T and PVT-S only, from weights fine-tuned on ImageNet-1K.
# Hardware: 8 GPUs x 2 images. The authors' README prints AP of HTC++ only; not run here.
_base_ = './gfl_um-swin-t_fpn_25e_coco.py'
model = dict(
    backbone=dict(arch='large', pos_mlp_dims=64, drop_path_rate=0.2, with_cp=True),
    neck=dict(in_channels=[192 * 2, 192 * 4, 192 * 8]),
)
