# UPerNet with UM-MAE Swin-L on ADE20K, 160,000 steps at 512 px.
#
#   bash tools/dist_train.sh configs/segmentation/upernet_um-swin-l_160k_ade20k-512x512.py 8 --amp \
#       --cfg-options pretrained=FINE_TUNED.pth data_root=data/ade/ADEChallengeData2016
#
# The authors have no such config: it is theirs of Swin-T (upernet_um-swin-t_160k_ade20k-512x512.py)
# with the drop path of their fine-tuned Swin-L.
# Hardware: 8 GPUs x 2 images. Not run here.
_base_ = './upernet_um-swin-t_160k_ade20k-512x512.py'
model = dict(
    backbone=dict(arch='large', drop_path_rate=0.2),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
)
