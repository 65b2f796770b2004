model = dict(
    type='UMMAE',
    # 8 on the compact image, where 8 tokens span 16 of the full grid; 16 for features (k-NN)
    backbone=dict(type='UMSwin', arch='tiny', window_size=8, dense_window_size=16, pos_mlp_dims=32),
    neck=dict(type='UMDecoder', in_channels=96 * 2**3, embed_dims=512, depth=2, num_heads=16),
    head=dict(type='UMHead', patch_size=16, norm_pix=True),
)
