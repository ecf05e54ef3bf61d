"""Where the command `prefline` begins: until all is imported, Ctrl-C ends it without a traceback."""

import signal


def main() -> None:
    """Run the command line, which soon has an answer of its own to signals."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from prefline.pipeline.cli import main as run

    run()
