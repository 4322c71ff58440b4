"The package is exactly what the notebooks export, no file more or less, and the notebooks are clean."
import os, shutil, subprocess, sys, tempfile
from itertools import zip_longest
from pathlib import Path
from common import notebooks, report, root

def fresh(tmp):
    "Export and clean a copy of the notebooks in `tmp`"
    shutil.copytree(root/'nbs', tmp/'nbs', ignore=shutil.ignore_patterns('.*', '_proc'))
    shutil.copy(root/'settings.ini', tmp)
    env = {k: v for k, v in os.environ.items() if k != 'IN_TEST'}   # nbdev exports nothing while it is set
    code = 'from nbdev.doclinks import nbdev_export; from nbdev.clean import nbdev_clean; nbdev_export(); nbdev_clean()'
    subprocess.run([sys.executable, '-c', code], cwd=tmp, env=env, check=True)

def first_difference(want, got):
    "The number of the first line that differs, and both versions of it"
    lines = enumerate(zip_longest(want.splitlines(), got.splitlines(), fillvalue='(end of file)'), 1)
    return next(((i, w.strip(), g.strip()) for i, (w, g) in lines if w != g), (0, 'the line ending', 'another'))

def compare(tmp):
    "Problems of each file of the package and each notebook"
    files = lambda top: {p.relative_to(top) for p in (top/'aligntune').rglob('*.py')}
    want, got, results = files(tmp), files(root), {}
    for f in sorted(want | got):
        if f not in want: results[f] = [f'{f}: no notebook exports it; delete it']
        elif f not in got: results[f] = [f'{f}: missing, a notebook exports it; run `make export`']
        else:
            w, g = (tmp/f).read_text(), (root/f).read_text()
            n, lw, lg = first_difference(w, g) if w != g else (0, '', '')
            results[f] = ([f'{f}:{n}: stale; the notebook says `{lw[:90]}`, the file `{lg[:90]}`; run `make export`']
                          if w != g else [])
    for f in notebooks():
        results[f] = ([f'{f}: not clean (metadata, counters or memory addresses); run `make export`']
                      if (tmp/f).read_text() != (root/f).read_text() else [])
    return results

with tempfile.TemporaryDirectory() as tmp:
    fresh(Path(tmp))
    report(compare(Path(tmp)))
