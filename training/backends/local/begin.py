"""The first steps of a detached process: ``python -m training.backends.local.begin MODULE DIRECTORY`` runs the module.

Owns how fast it begins, and that it says who it is: whoever launched it may be killed before that, and nobody could
stop it then. Importing torch and transformers makes a million objects that all stay, and the garbage collector would
look through them again and again: a quarter of the processor's time until the work starts, and a second when the
process ends. So it rests until everything is loaded (``process.carry_out`` wakes it).
"""

from __future__ import annotations

import gc
import os
import runpy
import sys
from pathlib import Path

from training.backends.local import folder

if __name__ == "__main__":
    gc.disable()
    del sys.argv[0]
    folder.write_json(Path(sys.argv[1]) / folder.PROCESS, {"pid": os.getsid(0)})  # of several, the one that leads
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
