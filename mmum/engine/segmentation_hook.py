"""Pictures of a segmentation, while it is validated and tested."""

from mmengine.registry import HOOKS

from mmum.engine.pictures import PicturesHook


@HOOKS.register_module()
class SegmentationPicturesHook(PicturesHook):
    """Draw truth and prediction: of the same images in every validation, and of all in a test.

    Args:
        max_images (int): Number of pictures of a validation, one of each of the first batches.
            Defaults to 0.
        show_dir (str, optional): Folder for the pictures of a test. Defaults to None: none.
        show (bool): Whether to show those of a test in a window. Defaults to False.
    """

    what = 'segmentation'

    def __init__(
        self, max_images: int = 0, show_dir: str | None = None, show: bool = False
    ) -> None:
        super().__init__(max_images, show_dir, show)
