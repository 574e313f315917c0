"""The first steps of a detached process: ``python -m training.backends.local.begin MODULE DIRECTORY`` runs the module.

Owns how fast it begins. Importing torch and transformers makes a million objects that all stay, and the garbage
collector would look through them again and again: a quarter of the processor's time until the work starts, and a
second when the process ends. So it rests until everything is loaded (``process.carry_out`` wakes it).
"""

from __future__ import annotations

import gc
import runpy
import sys

if __name__ == "__main__":
    gc.disable()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
