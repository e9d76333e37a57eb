"""Run a program that seeds nothing so that it does the same twice: `real_seeded.py PROGRAM ARGUMENTS…`."""

import random
import runpy
import sys

import numpy
import torch

random.seed(0)
numpy.random.seed(0)
torch.manual_seed(0)
sys.argv = sys.argv[1:]
sys.path[0] = "."
runpy.run_path(sys.argv[0], run_name="__main__")
