# UM-MAE Swin-T with a secondary masking ratio of 0.50 instead of 0.25, for the ablation.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_t_secondary_50.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs, hours as the base. Not run here.
_base_ = './um_mae_swin_t.py'
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='UniformMask', input_size=256, unit=16, secondary_ratio=0.50)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
