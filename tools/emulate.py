"""What needs a GPU, on an emulated one: `python tools/emulate.py` runs every case, some by name or `page:case`.

    python tools/emulate.py training 'unsloth:grpo' 'memory:1b layers=4'
    python tools/emulate.py --store memory       writes the peaks to nbs/emulation/simulated_memory.json

training   every algorithm on TRL, on cuda:0 against the CPU (nbs/emulation/03_training.ipynb); 2 minutes of a core
unsloth    Unsloth's trainers, forwards and kernels against TRL (04_unsloth.ipynb), with Triton; 8 minutes
memory     a step's peak on a simulated GPU against what is stored (05_simulated_memory.ipynb); 15 minutes"""
import argparse, sys
from collections import defaultdict
from functools import partial
from common import report
from aligntune.emulation.cuda import blocker
from aligntune.emulation.simulated_memory import SIMULATIONS, memory_problems
from aligntune.emulation.training import TRAININGS, training_problems
from aligntune.emulation.unsloth import ON_UNSLOTH, unsloth_problems

PAGES = dict(training=(TRAININGS, training_problems), unsloth=(ON_UNSLOTH, unsloth_problems),
             memory=(SIMULATIONS, memory_problems))

def chosen(words):
    "The cases to run, by page"
    cases = defaultdict(list)
    for word in words or PAGES:
        page, _, case = word.partition(':')
        if page not in PAGES or (case and case not in PAGES[page][0]):
            there = [f'{p}:{c}' for p, (names, _) in PAGES.items() for c in names]
            sys.exit(f'no case {word!r}; there are {", ".join(there)}')
        cases[page] += [case] if case else PAGES[page][0]
    return cases

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('cases', nargs='*', metavar='PAGE[:CASE]')
    p.add_argument('--store', action='store_true', help='store the peaks of the simulated cases')
    a = p.parse_args()
    wanted, results, skipped = chosen(a.cases), {}, []
    if a.store and set(wanted) != {'memory'}: sys.exit('only peaks of memory are stored: `--store memory`')
    checks = {page: check for page, (_, check) in PAGES.items()} | dict(memory=partial(memory_problems, store=a.store))
    for page, cases in wanted.items():
        if why := blocker(triton=page == 'unsloth'): skipped.append(f'{page} skipped: {why}')
        else: results |= {f'{page}:{case}': found for case, found in checks[page](cases).items()}
    report(results, '\n'.join(skipped))
