"What the checks share: where the project is, its notebooks, and one form of report."
import gc, json, logging, re, sys
from pathlib import Path

# every check runs from the project's root, so that a copy with a planted fault is checked the same way
root = Path.cwd()
sys.path.insert(0, str(root))

def notebooks():
    "The project's notebooks in reading order"
    files = (p.relative_to(root) for p in (root/'nbs').rglob('*.ipynb'))
    return sorted(p for p in files if not any(o.startswith(('.', '_')) for o in p.parts))

def cells(path):
    "The cells of a notebook, each source and text as one string"
    nb = json.loads((root/path).read_text(encoding='utf-8'))
    for c in nb['cells']: c['source'] = ''.join(c['source'])
    return nb['cells']

def flags(cell):
    "The directives of a code cell: `#| export` is {'export': ''}"
    found = re.findall(r'(?m)^#\|[ \t]*(\S+)[ \t]*(.*)$', cell['source'])
    return ({k.rstrip(':'): re.sub(' # .*', '', v).strip() for k, v in found}   # YAML, so a comment may follow
            if cell['cell_type'] == 'code' else {})

# what Colab reads of a notebook: a walkthrough opens on its free GPU
WALKTHROUGH = dict(accelerator='GPU', colab=dict(gpuType='T4'))

# a folded cell shows its `#@title` only on Colab, and its first line in JupyterLab
FOLDED = dict(cellView='form', jupyter=dict(source_hidden=True))

def exports(cell): return bool({'export', 'exports', 'exporti'} & flags(cell).keys())

def modules():
    "The exported package: {dotted module: file}"
    files = sorted((root/'aligntune').rglob('*.py'))
    dotted = lambda p: '.'.join(p.relative_to(root).with_suffix('').parts).removesuffix('.__init__')
    return {dotted(p): p for p in files if p.name != '_modidx.py'}

def warm():
    "Import the heavy libraries, if the package uses them, so that processes forked from this one need not"
    if any(re.search(r'(?m)^(from|import) transformers', p.read_text()) for p in modules().values()):
        logging.disable(logging.WARNING)
        import accelerate, datasets, peft, torch, transformers, trl  # noqa: F401
        logging.disable(logging.NOTSET)
    gc.freeze()   # what is here stays: collections in the forks need not walk it, nor copy its pages

def report(results, note=''):
    "Print what failed and where, then the summary that ends every check; `results` is {item: [problems]}"
    failed = {k: v for k, v in results.items() if v}
    for problems in failed.values(): print('\n'.join(problems))
    if note: print(note)
    print(f'{len(results)-len(failed)} passed, {len(failed)} failed')
    sys.exit(bool(failed))
