("The README's Python runs: the first block as it stands in an empty folder, the others with tiny local stand-ins "
 "under the names they use; what the front page computes stands in it, its pictures and make targets exist. Each "
 "target of the Makefile has its rules.")
import ast, contextlib, os, re, subprocess, sys, tempfile
from common import cells, report, root

STAND_INS = '''
from aligntune.data.tiny import save_tiny
from aligntune.data.zoo import save_zoo
save_tiny('Qwen/Qwen3-0.6B', 'qwen3', 'chatml', hidden=32, layers=1)
assert [*save_zoo('.', 'tatsu-lab/alpaca', 'openai/gsm8k')]
'''

def run(code, folder):
    "The error of a program run in `folder`, if any, and what it prints"
    env = os.environ | dict(HF_HUB_OFFLINE='1', PYTHONPATH=str(root), TOKENIZERS_PARALLELISM='false',
                            ALIGNTUNE_CACHE=str(folder))
    try:
        r = subprocess.run([sys.executable, '-c', code], cwd=folder, env=env, capture_output=True, text=True,
                           timeout=300)
    except subprocess.TimeoutExpired: return ['it runs longer than 300 s'], ''
    return ([], r.stdout) if not r.returncode else ([(r.stdout + r.stderr)[-1500:]], r.stdout)

text = (root/'README.md').read_text() if (root/'README.md').exists() else ''
blocks = re.findall(r'(?ms)^``` ?python\n(.*?)^```', text)
results = {'blocks': [] if len(blocks) >= 2 else [f'README.md: {len(blocks)} Python blocks, at least two are expected']}
with tempfile.TemporaryDirectory() as tmp:
    for i, block in enumerate(blocks, 1):
        if i == 2: results['stand-ins'] = [f'README.md: the stand-ins: {e}' for e in run(STAND_INS, tmp)[0]]
        problems, printed = run(block, tmp)
        # what a comment says of the last line, the line prints; another processor may learn one of the answers less
        promised = re.findall(r"'[^']*'", block.rpartition('#')[2]) if i == 1 and '#' in block else []
        if promised and not problems and not any(p in printed for p in promised):
            problems = [f'it prints none of {", ".join(promised)}: {printed[-300:]}']
        results[f'block {i}'] = [f'README.md, Python block {i}: {e}' for e in problems]

def shown():
    "The Markdown that the cells of the front page show, computed now"
    space = {}
    with contextlib.chdir(root/'nbs'):
        for source in (c['source'] for c in cells('nbs/index.ipynb') if c['cell_type'] == 'code'):
            tree = ast.parse(source)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, 'nbs/index.ipynb', 'exec'), space)
            value = eval(compile(ast.Expression(last.value), 'nbs/index.ipynb', 'eval'), space) if last else None
            if hasattr(value, 'data'): yield value.data

# links are made relative and text is wrapped anew, so words and numbers are compared
squeeze = lambda s: re.sub(r'[\s|:*\-\\]+', ' ', re.sub(r'\]\([^)]*\)|\[', '', s))
lost = [line for part in shown() for line in re.split(r'\n(?=\||- )', part.strip())
        if squeeze(line) not in squeeze(text)]
results['computed'] = [f'README.md: what nbs/index.ipynb computes is not in it: {line[:300]}; run `make export`'
                       for line in lost[:1]]
results['pictures'] = [f'README.md: there is no picture {p}' for p in re.findall(r'(nbs/styles/[\w.]+)', text)
                       if not (root/p).exists()]
targets = set(re.findall(r'(?m)^([a-z-]+):', (root/'Makefile').read_text()))
results['targets'] = [f'README.md: there is no `make {t}`' for t in re.findall(r'\bmake ([a-z-]+)', text)
                      if t not in targets]
planned = {t: subprocess.run(['make', '-n', t], cwd=root, capture_output=True, text=True)
           for t in re.findall(r'(?m)^([a-z-]+):.*##', (root/'Makefile').read_text())}
results['rules'] = [f'make {t}: {r.stderr.strip()}' for t, r in planned.items() if r.returncode]
lines = len(text.splitlines())
results['length'] = [f'README.md has {lines} lines, over two screens'] if lines > 150 else []
report(results, f'{len(blocks)} blocks, {lines} lines')
