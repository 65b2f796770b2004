# The stock Swin-T, pre-trained further with UM-MAE on images of your own domain, from any public
# checkpoint, and back into any detector.
#
#   python tools/train.py configs/selfsup/um_mae_stock_swin_t_adapt.py --amp --auto-scale-lr \
#       --cfg-options pretrained=swin_tiny_patch4_window7_224.pth data_root=FOLDER
#   python tools/convert.py work_dirs/um_mae_stock_swin_t_adapt/epoch_50.pth swin_t.pth --to mmdet \
#       --window-size 7
#
# Hardware: 1 GPU. Not in the paper; not run here.
_base_ = './um_mae_swin_t.py'
# Weights in the names of Microsoft, timm, mmpretrain, mmdet or mmum, of any window. None: from
# scratch.
pretrained = None

model = dict(
    backbone=dict(
        _delete_=True,
        type='UMStockSwin',
        arch='tiny',
        img_size=256,
        window_size=16,  # 8 on the compact image; tables of other windows grow to it
        drop_path_rate=0.0,
        pad_small_map=True,
        init_cfg=dict(type='BackboneCheckpoint', checkpoint=pretrained),
    )
)
train_dataloader = dict(batch_size=128)
# a short schedule that starts from good weights: half the learning rate
optim_wrapper = dict(optimizer=dict(lr=0.75e-4 * 4096 / 256))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        T_max=45,
        eta_min=0.0,
        by_epoch=True,
        begin=5,
        end=50,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=50)
