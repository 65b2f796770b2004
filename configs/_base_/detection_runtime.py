# What every detector adds to mmdet's own configs.
custom_imports = dict(imports=['mmum'], allow_failed_imports=False)

# The one line of every leaf: a checkpoint of pre-training (ours or the authors'), fine-tuned or not. None: from scratch.
pretrained = None
_start = dict(type='BackboneCheckpoint', checkpoint=pretrained)
_all = (0, 1, 2, 3)

um_swin_t = dict(
    type='UMSwin',
    arch='tiny',
    window_size=16,  # 16 dense, after 8 on the compact image, where 8 tokens span 16
    drop_path_rate=0.1,
    out_indices=_all,
    pad_small_map=True,
    init_cfg=_start)
um_pvt_s = dict(
    type='UMPVT',
    arch='small',
    sr_ratios=(8, 4, 2, 1),  # dense, after (4, 2, 1, 1) on the compact image
    drop_path_rate=0.1,
    out_indices=_all,
    init_cfg=_start)
stock_swin_t = dict(
    type='UMStockSwin',
    arch='tiny',
    window_size=7,  # tables of another window are resized while loading
    drop_path_rate=0.2,
    out_indices=_all,
    pad_small_map=True,
    init_cfg=_start)
