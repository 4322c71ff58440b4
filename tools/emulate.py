"""Unsloth's GPU code on an emulated GPU, against TRL: three steps of each case, each in a process of its own.

`python tools/emulate.py grpo ppo` runs only those. nbs/emulation/02_unsloth.ipynb says what is compared."""
import subprocess, sys, tempfile
from common import report
from aligntune.emulation.cuda import blocker
from aligntune.emulation.unsloth import CASES, problems_of, save_case_models

def tried(case, folder):
    "The problems of one case"
    try: return problems_of(case, folder)
    except (RuntimeError, subprocess.TimeoutExpired) as e: return [f'{case}: {e}']

if __name__ == '__main__':
    if why := blocker(triton=True): report({}, f'skipped: {why}')
    with tempfile.TemporaryDirectory() as folder:
        save_case_models(folder)
        results = {name: tried(name, folder) for name in sys.argv[1:] or CASES}
    report(results)
