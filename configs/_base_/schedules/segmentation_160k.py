# The authors' schedule of ADE20K: AdamW, lr 1e-4 at 16 images, 160,000 steps; the learning rate
# falls linearly to 0 over all of them, and the first 1500 scale it up from 1e-6 of itself.
max_iters = 160000
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    # biases, norms, tokens, bias tables and positions do not decay; layer_decay_rate is 1
    constructor='LayerDecayOptimWrapperConstructor',
)
# both from the first step on, as mmcv 1 multiplied them
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters),
]
train_cfg = dict(type='ResumableIterTrainLoop', max_iters=max_iters, val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
