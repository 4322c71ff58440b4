"Export, clean and run one notebook: `python tools/nb.py nbs/core/01_errors.ipynb`. Its lesson outputs are saved in it."
import fcntl, os, sys, tempfile, time
from pathlib import Path

os.environ.setdefault('IN_TEST', '1')
os.environ.setdefault('HF_HUB_OFFLINE', '1')
os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')
# as in tools/run_notebooks.py: two notebooks at once must not fight over the cores
os.environ.setdefault('OMP_NUM_THREADS', '1')
from execnb.nbio import read_nb, write_nb
from execnb.shell import CaptureShell
from fastcore.all import working_directory
from nbdev.clean import nbdev_clean
from nbdev.config import get_config
from nbdev.export import nb_export
from nbdev.process import extract_directives

def flags(cell): return extract_directives(cell, remove=False) if cell.cell_type == 'code' else {}

def skipped(d, skip): return (d.get('eval:') or [''])[0].lower() == 'false' or bool(skip & d.keys())

def run(path, save=True, slow=False, show=False):
    "Run every cell of the notebook at `path`; keep the lessons' outputs in it"
    nb, shell, skip = read_nb(path), CaptureShell(str(path)), set() if slow else set(get_config().tst_flags.split())
    with working_directory(Path(path).parent):
        for i, c in enumerate(nb.cells):
            d = flags(c)
            if c.cell_type != 'code' or skipped(d, skip): continue
            shell._cell_idx = i   # names the cell in a traceback
            outs = shell.run(c.source)
            if shell.exc:
                print(shell.prettytb(fname=path)); print(f'FAILED {path} cell {i}'); return False
            if show:
                print(''.join(''.join(o.get('text', '')) for o in outs if o.get('name') == 'stdout'), end='',
                      flush=True)
            c.outputs = ([] if {'export', 'exports', 'exporti', 'hide'} & d.keys()
                         else [o for o in outs if o['output_type'] != 'stream' or o.get('name') != 'stderr'])
    if save: write_nb(nb, path)
    return True

if __name__ == '__main__':
    cache = tempfile.TemporaryDirectory()   # rows cached by older code prove nothing
    os.environ.setdefault('ALIGNTUNE_CACHE', cache.name)
    args = [a for a in sys.argv[1:] if not a.startswith('-')]
    ok = True
    for f in args:
        f, t = Path(f).resolve(), time.time()
        with open(get_config().config_path/'.nb.lock', 'w') as lock:   # two exports at once would tear _modidx.py
            fcntl.flock(lock, fcntl.LOCK_EX)
            nb_export(f)
        good = run(f, save='--dry' not in sys.argv, slow='--slow' in sys.argv, show='--show' in sys.argv)
        ok &= good
        nbdev_clean(fname=f)
        print(f"{'ok' if good else 'FAILED'} {f.relative_to(Path.cwd()) if f.is_relative_to(Path.cwd()) else f} "
              f"{time.time()-t:.1f}s")
    sys.exit(not ok)
