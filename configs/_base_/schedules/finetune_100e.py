# The paper's fine-tuning: AdamW, lr 5e-4 x batch / 256 at batch 1024, weight decay 0.05, 100 epochs
# of which 5 warm up, down to lr 1e-6; a leaf sets its layer decay.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4 * 1024 / 256, weight_decay=0.05, fused=True),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.85),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    # as a ratio: layers near the input start lower and end lower
    dict(
        type='CosineAnnealingLR',
        T_max=95,
        eta_min_ratio=1e-6 / 2e-3,
        by_epoch=True,
        begin=5,
        end=100,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='ResumableEpochTrainLoop', max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=1024)
