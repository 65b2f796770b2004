"""What all tools share: help text, and one sentence instead of a traceback for what a user can put right."""
import argparse
import os
import sys

from mmengine.dist import barrier, is_distributed
from torch.distributed import destroy_process_group
from torch.distributed.elastic.multiprocessing.errors import record

from mmum.errors import input_error_sentence


def argument_parser(doc):
    """An argument parser whose help shows the tool's docstring as it is written."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def shutdown_process_group():
    """Ends the process group once all ranks are here.

    One that leaves earlier breaks connections that others still use, and torchrun ends the others with it.
    """
    if is_distributed():
        barrier()
        destroy_process_group()


def run_command(main):
    """Runs a tool's main function. Bad input ends it with the sentence on stderr and exit code 2."""
    if 'TORCHELASTIC_RUN_ID' in os.environ:  # a rank: torchrun shows the traceback of the one that failed first
        main = record(main)
    try:
        main()
        shutdown_process_group()
    except Exception as error:
        sentence = input_error_sentence(error)
        if sentence is None:
            raise
        print(f'error: {sentence}', file=sys.stderr)
        sys.exit(2)
