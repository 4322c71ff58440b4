"""Try the architectures that nbs/bench/architectures.json lacks, or those named; the outcome is written there.

    python tools/architectures.py [MODEL_TYPE ...]"""
import os, sys
from common import root

os.environ |= dict(HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false', OMP_NUM_THREADS='1')
from aligntune.bench.architectures import complete, passed   # noqa: E402   after the settings

if __name__ == '__main__':
    found = complete(root/'nbs/bench/architectures.json', sys.argv[1:],
                     report=lambda line: print(line, flush=True))['architectures']
    failed = sorted({n for n, a in found.items() for r in a.get('runs', {}).values()
                     if not passed(r) and 'refused' not in r})
    print(f'{len(found)} architectures, failed: {", ".join(failed) or "none"}')
    sys.exit(bool(failed))
