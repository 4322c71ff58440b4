"""The lessons that compare numbers, as a lesser processor and several threads compute them.

Sums go in another order there, through other kernels.
`python tools/check_processors.py all` runs every lesson so (hours); lessons that are named run alone."""
import subprocess, sys
from common import report
from run_notebooks import PROCESSORS

LESSONS = [f'nbs/engine/{n}.ipynb' for n in ('03_lm_head', '04_prefix_sharing', '05_norm_mlp')]
WAYS = [('default', 4), ('avx2', 2)]   # processor, threads

def run(processor, threads, lessons):
    "Problems of the lessons, run so"
    words = ['tools/run_notebooks.py', '--package', '--processor', processor, '--threads', str(threads), *lessons]
    r = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = r.stdout.strip().splitlines()
    for line in said[:-1]: print(f'{line} ({processor}, {threads} threads)' if line[:2] == 'ok' else line)
    return [f'with {processor} and {threads} threads: {said[-1]}'] if r.returncode else []

if __name__ == '__main__':
    named = sys.argv[1:]
    every = named == ['all']
    ways = [(p, t) for p in PROCESSORS for t in (1, 2, 4)] if every else WAYS
    report({f'{p}, {t} threads': run(p, t, [] if every else named or LESSONS) for p, t in ways})
