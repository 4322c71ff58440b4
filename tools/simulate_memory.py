"""Peak memory of one real training step on a simulated GPU, for the cases of nbs/emulation/05_simulated_memory.ipynb.

`python tools/simulate_memory.py` simulates all and writes simulated_memory.json; a quarter of an hour on two cores."""
import json
import common  # noqa: F401
from aligntune.emulation.cases import run_calls
from aligntune.emulation.cuda import blocker
from aligntune.emulation.simulated_memory import SIMULATIONS, STORED

if __name__ == '__main__':
    if why := blocker(): raise SystemExit(f'skipped: {why}')
    found = run_calls('shapes', [('simulated_memory.simulate', case) for case in SIMULATIONS.values()])
    kept = [{k: r[k] for k in ('case', 'peak', 'phase', 'peaks')} for r in found]
    lines = ',\n'.join(map(json.dumps, kept))
    STORED.write_text(f'[\n{lines}\n]\n')
