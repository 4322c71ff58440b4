"""What needs a GPU, on an emulated one: `python tools/emulate.py` runs every case, some by name or `page:case`.

    python tools/emulate.py training 'unsloth:grpo' 'memory:1b layers=4'

training   every algorithm on TRL, on cuda:0 against the CPU (nbs/emulation/03_training.ipynb); 2 minutes of a core
unsloth    Unsloth's trainers, forwards and kernels against TRL (04_unsloth.ipynb), with Triton; 8 minutes
memory     a step's peak on a simulated GPU against what is stored (05_simulated_memory.ipynb); 15 minutes"""
import sys
from collections import defaultdict
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
    results, skipped = {}, []
    for page, cases in chosen(sys.argv[1:]).items():
        if why := blocker(triton=page == 'unsloth'): skipped.append(f'{page} skipped: {why}')
        else: results |= {f'{page}:{case}': found for case, found in PAGES[page][1](cases).items()}
    report(results, '\n'.join(skipped))
