"""Peak memory of one real training step on a simulated GPU, for the cases of nbs/emulation/03_simulated_memory.ipynb.

`python tools/simulate_memory.py` simulates all and writes simulated_memory.json; a quarter of an hour on two cores."""
import json
from common import root
from aligntune.emulation.cuda import blocker
from aligntune.emulation.simulated_memory import CASES, simulate_cases

if __name__ == '__main__':
    if why := blocker(): raise SystemExit(f'skipped: {why}')
    kept = [{k: r[k] for k in ('case', 'peak', 'phase', 'peaks')} for r in simulate_cases(CASES)]
    lines = ',\n'.join(map(json.dumps, kept))
    (root/'nbs/emulation/simulated_memory.json').write_text(f'[\n{lines}\n]\n')
