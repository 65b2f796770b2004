"""Pictures of the documentation are those that the code draws."""

import cv2
import numpy as np

from mmum.visualization import method_picture
from tests.helpers import ROOT


def test_the_picture_of_the_method_is_current():
    drawn = method_picture()[..., ::-1].astype(int)
    kept = cv2.imread(str(ROOT / 'docs' / 'images' / 'method.png')).astype(int)
    assert drawn.shape == kept.shape
    message = 'stale: python -c "import mmum.visualization as p; p.write_picture(\'docs/images/method.png\', p.method_picture())"'
    assert np.abs(drawn - kept).mean() < 0.5, message
