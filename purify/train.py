"""`purify train` for torchrun, which starts modules:

torchrun --nproc-per-node 8 -m purify.train scored/ -o run/ --model checkpoint/
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from purify_cli.main import run

    sys.argv[:1] = ["purify", "train"]
    run()
