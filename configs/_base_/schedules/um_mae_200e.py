# The paper's pre-training: AdamW, lr 1.5e-4 x batch / 256 at batch 4096, 200 epochs of which 10
# warm up.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1.5e-4 * 4096 / 256, betas=(0.9, 0.95), weight_decay=0.05, fused=True
    ),
    # biases, norms, tokens, bias tables and positions do not decay; layer_decay_rate is 1
    constructor='LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        T_max=190,
        eta_min=0.0,
        by_epoch=True,
        begin=10,
        end=200,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='ResumableEpochTrainLoop', max_epochs=200)
# --auto-scale-lr fits the learning rate to the batch you can afford
auto_scale_lr = dict(enable=False, base_batch_size=4096)
