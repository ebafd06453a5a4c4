"""Train and evaluate a model: RecBole's ``run_recbole.py`` for this plugin.

``python run_recbole_diffkg.py`` trains DiffKG on RecBole's ml-100k sample;
``python run_recbole_diffkg.py --help`` lists the flags.
"""

import sys

from diffkg_recbole.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("train", sys.argv[1:], prog="run_recbole_diffkg.py"))
