# UPerNet with UM-MAE Swin-T on ADE20K, 160,000 steps at 512 px, as the authors ran it.
#
#   bash tools/dist_train.sh configs/segmentation/upernet_um-swin-t_160k_ade20k-512x512.py 8 --amp \
#       --cfg-options pretrained=FINE_TUNED.pth data_root=data/ade/ADEChallengeData2016
#
# As the authors ran it, but for one thing: they put a 1x1 convolution to 768 channels after every
# stage. Here the heads take the stages as they are. Convolutions follow at once, and two linear
# maps in a row are one: the laterals, the pyramid pooling (pooling and a 1x1 convolution commute)
# and the auxiliary head can be every function that they could be. One trace is left, at the border
# of the two 3x3 convolutions, which pad with zeros where theirs would pad the biases away.
# The authors start from weights fine-tuned on ImageNet-1K, the encoder alone
# (configs/classification/, or their files).
# Hardware: 8 GPUs x 2 images. The paper prints no mIoU of this model; not run here.
_base_ = [
    'mmseg::_base_/models/upernet_swin.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/segmentation_160k.py',
    '../_base_/segmentation_runtime.py',
]
num_classes = 150
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(_delete_=True, **_base_.um_swin_t),
    decode_head=dict(in_channels=[96, 192, 384, 768], channels=768, num_classes=num_classes),
    auxiliary_head=dict(in_channels=384, num_classes=num_classes),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(341, 341)),
)
