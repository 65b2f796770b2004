# mmpretrain's MAE on ViT-B: random sampling instead of uniform, with the decoder, data and schedule
# of UM-MAE.
#
#   bash tools/dist_train.sh configs/selfsup/mae_vit_b.py 8 --amp --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. Not run here.
_base_ = './um_mae_vit_b.py'
model = dict(
    _delete_=True,
    type='MAE',
    backbone=dict(type='MAEViT', arch='b', img_size=224, patch_size=16, mask_ratio=0.75),
    neck=dict(
        type='MAEPretrainDecoder',
        num_patches=14 * 14,
        embed_dim=768,
        decoder_embed_dim=512,
        decoder_depth=2,
        decoder_num_heads=16,
    ),
    head=dict(
        type='MAEPretrainHead',
        norm_pix=True,
        patch_size=16,
        loss=dict(type='PixelReconstructionLoss', criterion='L2'),
    ),
    init_cfg=[
        dict(type='Xavier', layer='Linear', distribution='uniform'),
        dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
    ],
)
# masks are drawn in the model
train_pipeline = [*_base_.train_pipeline[:-2], dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = []  # its pictures are those of UM-MAE
test_dataloader = None  # and so is its test
test_evaluator = None
test_cfg = None
