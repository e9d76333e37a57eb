"""The parts of `tools/faults_full.py`: programs, runs, figures, and what is made of them."""
