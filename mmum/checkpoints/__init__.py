from .authors_keys import from_authors
from .convert import Conversion, convert
from .export import BACKBONE_FILE, export, write_backbone
from .identify import Identified, identify
from .io import read_checkpoint, weights_of, write_checkpoint
from .load import BackboneCheckpoint, load_backbone, report_text
from .verify import verify

__all__ = [
    'BACKBONE_FILE',
    'BackboneCheckpoint',
    'Conversion',
    'Identified',
    'convert',
    'export',
    'from_authors',
    'identify',
    'load_backbone',
    'read_checkpoint',
    'report_text',
    'verify',
    'weights_of',
    'write_backbone',
    'write_checkpoint',
]
