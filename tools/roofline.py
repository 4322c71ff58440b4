"""Operations, bytes, launches and synchronisations by optimisation, for nbs/emulation/11_roofline.ipynb.

`python tools/roofline.py` counts all, some by name (`sft grpo`), and writes roofline.json; half an hour."""
import json, sys
import common  # noqa: F401
from aligntune.emulation.cuda import blocker
from aligntune.emulation.roofline import LADDER, STORED, ladder

if __name__ == '__main__':
    if why := blocker(): raise SystemExit(f'skipped: {why}')
    kept = json.loads(STORED.read_text()) if STORED.exists() else []
    for algorithm in sys.argv[1:] or LADDER:
        found = ladder(algorithm)
        for r in found: print(r['rung'], r.get('error', '')[-400:], flush=True)
        kept = [r for r in kept if r['algorithm'] != algorithm] + [r for r in found if 'error' not in r]
        STORED.write_text('[\n' + ',\n'.join(map(json.dumps, kept)) + '\n]\n')
