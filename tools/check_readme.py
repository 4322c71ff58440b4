("The README's Python runs, with tiny local stand-ins under the names it uses; its matrix is the package's, "
 "its make targets exist.")
import os, re, subprocess, sys, tempfile
from common import report, root

STAND_INS = '''
from aligntune.data.tiny import save_tiny
from aligntune.data.zoo import save_zoo
save_tiny('Qwen/Qwen3-0.6B', 'qwen3', 'chatml', hidden=32, layers=1)
assert [*save_zoo('.', 'tatsu-lab/alpaca', 'openai/gsm8k')]
'''

def run(code, folder):
    "The error of a program run in `folder`, if any"
    env = os.environ | dict(HF_HUB_OFFLINE='1', PYTHONPATH=str(root), TOKENIZERS_PARALLELISM='false',
                            ALIGNTUNE_CACHE=str(folder))
    try:
        r = subprocess.run([sys.executable, '-c', code], cwd=folder, env=env, capture_output=True, text=True,
                           timeout=300)
    except subprocess.TimeoutExpired: return ['it runs longer than 300 s']
    return [] if not r.returncode else [(r.stdout + r.stderr)[-1500:]]

text = (root/'README.md').read_text() if (root/'README.md').exists() else ''
blocks = re.findall(r'(?ms)^``` ?python\n(.*?)^```', text)
results = {'blocks': [] if len(blocks) >= 2 else [f'README.md: {len(blocks)} Python blocks, at least two are expected']}
with tempfile.TemporaryDirectory() as tmp:
    results['stand-ins'] = [f'README.md: the stand-ins: {e}' for e in run(STAND_INS, tmp)]
    for i, block in enumerate(blocks, 1):
        results[f'block {i}'] = [f'README.md, Python block {i}: {e}' for e in run(block, tmp)]

from aligntune.core.capability import matrix_markdown  # noqa: E402
squeeze = lambda s: re.sub(r'[\s|:*-]+', ' ', s)
lost = [row for row in matrix_markdown(('trl', 'unsloth')).splitlines() if squeeze(row) not in squeeze(text)]
results['matrix'] = [f'README.md: the support matrix lacks {lost[0]}; '
                     f'run `make nb NB=nbs/index.ipynb` and `make export`'] if lost else []
targets = set(re.findall(r'(?m)^([a-z-]+):', (root/'Makefile').read_text()))
results['targets'] = [f'README.md: there is no `make {t}`' for t in re.findall(r'\bmake ([a-z-]+)', text)
                      if t not in targets]
lines = len(text.splitlines())
results['length'] = [f'README.md has {lines} lines, over two screens'] if lines > 120 else []
report(results, f'{len(blocks)} blocks, {lines} lines')
