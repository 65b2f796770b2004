# mmpretrain's SimMIM on the stock Swin-T (window 8) in the setting of UM-MAE: 256 px, units of 16
# px, 75 % masked, the data and schedule of UM-MAE. It is not Microsoft's recipe: that is
# simmim_swin_t_192px.py.
#
#   bash tools/dist_train.sh configs/selfsup/simmim_swin_t.py 8 --amp --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The paper does not report it; not run here.
_base_ = './simmim_um_swin_t.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SimMIMSwinTransformer',
        arch='T',
        img_size=256,
        drop_path_rate=0.0,
        stage_cfgs=dict(block_cfgs=dict(window_size=8)),
    ),
    head=dict(patch_size=4),
)
train_pipeline = _base_.train_pipeline
train_pipeline[-2] = dict(
    type='SimMIMMaskGenerator',
    input_size=256,
    mask_patch_size=16,
    model_patch_size=4,
    mask_ratio=0.75,
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
