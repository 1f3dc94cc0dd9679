"""`perdure completion SHELL`: the script that makes a shell complete our commands."""

import argparse
import sys

_EPILOG = """\
To have completions in every new shell, add one line to its start-up file:

  bash   eval "$(perdure completion bash)"       in ~/.bashrc
  zsh    eval "$(perdure completion zsh)"        in ~/.zshrc
  fish   perdure completion fish | source        in ~/.config/fish/config.fish
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which shell."""
    parser.epilog = _EPILOG
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="The shell to complete for.")


def execute(options: argparse.Namespace) -> int:
    """Print the script."""
    from argcomplete.shell_integration import shellcode  # needed by this command only

    sys.stdout.write(shellcode(["perdure"], shell=options.shell))
    return 0
