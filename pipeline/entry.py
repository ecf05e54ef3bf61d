"""Where the command `prefline` begins: until all is imported, Ctrl-C ends it without a traceback."""

import signal


def main() -> None:
    """Run the command line, which soon has an answer of its own to signals."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored, as in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from prefline.pipeline.cli import main as run

    run()
