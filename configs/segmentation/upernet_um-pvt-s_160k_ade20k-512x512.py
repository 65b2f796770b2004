# UPerNet with UM-MAE PVT-S on ADE20K, 160,000 steps at 512 px, as the authors ran it.
#
#   bash tools/dist_train.sh configs/segmentation/upernet_um-pvt-s_160k_ade20k-512x512.py 8 --amp \
#       --cfg-options pretrained=FINE_TUNED.pth data_root=data/ade/ADEChallengeData2016
#
# The recipe, and what is left away, as in upernet_um-swin-t_160k_ade20k-512x512.py. Positions of a
# fine-tuned file are resized to the 128x128 of a crop, and learned further; here they do not decay,
# as in all recipes of mmum (the authors' did).
# Hardware: 8 GPUs x 2 images. The paper prints no mIoU of this model; not run here.
_base_ = './upernet_um-swin-t_160k_ade20k-512x512.py'
model = dict(
    backbone=dict(_delete_=True, **_base_.um_pvt_s),
    decode_head=dict(in_channels=[64, 128, 320, 512]),
    auxiliary_head=dict(in_channels=320),
)
