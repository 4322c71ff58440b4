("Write a notebook from percent text (cells separated by `# %%` / `# %% [markdown]`), "
 "keeping ids and outputs of unchanged cells.")
import hashlib, json, re, sys
from pathlib import Path
from common import FOLDED, WALKTHROUGH

def cells_of(text: str, path: str):
    "The notebook cells that `text` describes"
    seen: dict = {}
    for block in re.split(r'(?m)^# %%', text)[1:]:
        head, _, body = block.partition('\n')
        kind = next((k for k in ('markdown', 'raw') if f'[{k}]' in head), 'code')
        body = body.strip('\n')
        n = seen[body] = seen.get(body, 0) + 1
        folded = kind == 'code' and re.search(r'(?m)^#@title ', body)
        cell = dict(cell_type=kind, id=hashlib.sha1(f'{path}{n}{kind}{body}'.encode()).hexdigest()[:8],
                    metadata=FOLDED if folded else {},
                    source=body.splitlines(True))
        yield cell | (dict(execution_count=None, outputs=[]) if kind == 'code' else {})

def make(path, text):
    "Write `text` as the notebook at `path`"
    p = Path(path)
    old = json.loads(p.read_text())['cells'] if p.exists() else []
    kept: dict = {}
    for c in old: kept.setdefault((c['cell_type'], ''.join(c['source'])), []).append(c)   # equal cells, in order
    cells = []
    for c in cells_of(text, p.name):
        same = kept.get((c['cell_type'], ''.join(c['source'])))
        cells.append(same.pop(0) | dict(metadata=c['metadata']) if same else c)
    metadata = dict(kernelspec=dict(display_name='python3', language='python', name='python3'))
    if p.parent.name == 'walkthroughs': metadata = WALKTHROUGH | metadata
    p.parent.mkdir(parents=True, exist_ok=True)
    p.write_text(json.dumps(dict(cells=cells, metadata=metadata, nbformat=4, nbformat_minor=5), indent=1,
                            ensure_ascii=False) + '\n')

def percent(path):
    "The percent text of the notebook at `path`"
    out = []
    for c in json.loads(Path(path).read_text())['cells']:
        tag = '' if c['cell_type'] == 'code' else f" [{c['cell_type']}]"
        out.append(f"# %%{tag}\n{''.join(c['source'])}\n")
    return '\n'.join(out)

if __name__ == '__main__':
    nb, *rest = sys.argv[1:]
    if rest: make(nb, Path(rest[0]).read_text())   # mknb.py NOTEBOOK TEXT: write the notebook
    else: print(percent(nb))                       # mknb.py NOTEBOOK: print its text
