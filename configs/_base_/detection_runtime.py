# What every detector adds to mmdet's own configs.
custom_imports = dict(imports=['mmum'], allow_failed_imports=False)
# atomic checkpoints, exact resume, signals, roll-back: see docs/reliability.md
runner_type = 'FaultTolerantRunner'
fault_tolerant_hooks = dict(
    checkpoint=dict(
        type='AtomicCheckpointHook', max_keep_ckpts=2, save_best='coco/segm_mAP', rule='greater'
    ),
    checkpoint_match=dict(type='CheckpointMatchHook'),
    preemption=dict(type='PreemptionHook'),
    non_finite_grad=dict(type='NonFiniteGradHook'),
)
# truth and detections of four images at every validation, beside the curves: see mmum report
custom_hooks = [dict(type='DetectionPicturesHook')]
fault_tolerant_backends = [dict(type='FaultTolerantLocalVisBackend')]
progress_log = dict(type='ProgressLogProcessor')  # images/s, and the share of waiting for data

# The one line of every leaf: a checkpoint of pre-training (ours or the authors'), fine-tuned or
# not. None: from scratch.
pretrained = None
_start = dict(type='BackboneCheckpoint', checkpoint=pretrained)
_all = (0, 1, 2, 3)

um_swin_t = dict(
    type='UMSwin',
    arch='tiny',
    window_size=16,  # 16 dense, after 8 on the compact image, where 8 tokens span 16
    drop_path_rate=0.2,  # as the stock Swin-T, in the Swin paper's recipes
    out_indices=_all,
    pad_small_map=True,
    init_cfg=_start,
)
um_pvt_s = dict(
    type='UMPVT',
    arch='small',
    sr_ratios=(8, 4, 2, 1),  # dense, after (4, 2, 1, 1) on the compact image
    learn_positions=True,  # start from those of a fine-tuned file, or as sin-cos
    drop_path_rate=0.1,
    out_indices=_all,
    init_cfg=_start,
)
stock_swin_t = dict(
    type='UMStockSwin',
    arch='tiny',
    window_size=7,  # tables of another window are resized while loading
    drop_path_rate=0.2,
    out_indices=_all,
    pad_small_map=True,
    init_cfg=_start,
)

# The box heads of the Swin paper's cascades: with four convolutions, and parameters and
# multiply-adds are those that it prints. Group norm in the place of its SyncBN: the same with any
# number of GPUs and images.
swin_box_head = dict(
    type='ConvFCBBoxHead',
    num_shared_convs=4,
    num_shared_fcs=1,
    conv_out_channels=256,
    norm_cfg=dict(type='GN', num_groups=32),
)
