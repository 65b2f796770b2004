# UPerNet with the stock Swin-T on ADE20K, 160,000 steps at 512 px: the Swin paper's recipe.
#
#   bash tools/dist_train.sh configs/segmentation/upernet_swin-t_160k_ade20k-512x512.py 8 --amp \
#       --cfg-options pretrained=SWIN_T.pth data_root=data/ade/ADEChallengeData2016
#
# mmseg's own config, head, schedule and test on the whole image, with UMStockSwin in place of its
# Swin. The checkpoint: public Swin weights in any names, or a UM-MAE pre-training of them
# (um_mae_stock_swin_t_adapt.py).
# Hardware: 8 GPUs x 2 images. Not run here.
_base_ = [
    'mmseg::_base_/models/upernet_swin.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/segmentation_160k.py',
    '../_base_/segmentation_runtime.py',
]
num_classes = 150
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(_delete_=True, **_base_.stock_swin_t),
    decode_head=dict(num_classes=num_classes),
    auxiliary_head=dict(num_classes=num_classes),
)
optim_wrapper = dict(optimizer=dict(lr=6e-5, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        by_epoch=False,
        begin=1500,
        end=_base_.max_iters,
    ),
]
