from .authors_keys import from_authors
from .convert import Conversion, convert
from .identify import Identified, identify
from .io import read_checkpoint, weights_of, write_checkpoint
from .load import BackboneCheckpoint, load_backbone, report_text
from .verify import verify

__all__ = [
    'BackboneCheckpoint',
    'Conversion',
    'Identified',
    'convert',
    'from_authors',
    'identify',
    'load_backbone',
    'read_checkpoint',
    'report_text',
    'verify',
    'weights_of',
    'write_checkpoint',
]
