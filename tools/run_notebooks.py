"""Run the lessons of all notebooks, each in a process of its own with a time limit, two at a time.

    python tools/run_notebooks.py [--package] [--all] [--limit S] [--workers N] [--flags slow]
                                  [--processor avx2] [--threads N] [--errors LOG] [NOTEBOOK ...]

With `--package` the exported cells are left out and their names come from the exported package instead, under line
coverage: what is tested is what users install. Without it every cell runs as it stands, as in JupyterLab. That the
package is what the notebooks export is a check of its own, and so is that no cell uses an unknown name: both ways
prove the same but for rare cases, so only the rooms in BOTH run here, and all with `--all`. `--errors` notes every
error of the library that a lesson makes, for `tools/error_codes.py --examples`."""
import argparse, faulthandler, json, os, re, shutil, signal, sys, tempfile, time
from importlib.util import find_spec
from pathlib import Path
from error_codes import record
from common import exports, flags, notebooks, report, root, warm

# removed at the end: a forked notebook cannot tidy up after itself
tempfile.tempdir = tempfile.mkdtemp(prefix='lessons-')
os.chmod(tempfile.tempdir, 0o1777)   # as /tmp is
os.environ |= dict(TMPDIR=tempfile.tempdir, IN_TEST='1', HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false',
                   MPLBACKEND='agg', PYTHONPATH=str(root),
                   # InstructLab-training and mini-trainer pack batches with it: compiling costs each of their processes
                   # 7 s, and tiny batches nothing
                   NUMBA_DISABLE_JIT='1',
                   # of this run only: rows cached by older code prove nothing
                   ALIGNTUNE_CACHE=tempfile.mkdtemp(prefix='rows-'))
# COVER: percent of the package's lines that the lessons must reach; what runs in processes of their own (ranks of a
# training, their watchdog, the sandbox) is tested, but not counted
TIMES, COVER = root/'.cache/notebook_seconds.json', 89
BOTH = ('core/', 'data/', 'show/')   # run as they stand too, but for the long one
# run where it is installed
UNSLOTH = ('backends/04_unsloth bench/07_parity emulation/04_unsloth walkthroughs/02_choosing_a_backend '
           'walkthroughs/08_qlora_unsloth guides/unsloth_guide').split()
# not forked from a process that has imported torch and transformers: they look at what is imported
COLD = ('00_package', 'cli', 'core/', 'backends/04_unsloth', 'backends/02_isolation', 'bench/07_parity')

# A lesser processor than this one: what PyTorch, oneDNN and MKL are told before they start
PROCESSORS = dict(
    native={}, avx2=dict(ATEN_CPU_CAPABILITY='avx2', ONEDNN_MAX_CPU_ISA='AVX2', MKL_ENABLE_INSTRUCTIONS='AVX2'),
    default=dict(ATEN_CPU_CAPABILITY='default', ONEDNN_MAX_CPU_ISA='SSE41', MKL_ENABLE_INSTRUCTIONS='SSE4_2'))

# a lesson that cannot run here prints why, and the summary of all checks repeats it
SKIPPED = r'(?m)^skipped: (.+)$'
def skip_line(path, why): return f'skipped          {path}: {why}'

def sources(path, package, run_flags):
    "(cell number, source) of the cells to run"
    nb, skip, name = json.loads((root/path).read_text()), set('slow gpu net'.split()) - run_flags, ''
    for i, c in enumerate(nb['cells']):
        if c['cell_type'] != 'code': continue
        c['source'] = ''.join(c['source']); f = flags(c)
        name = f.get('default_exp', name)
        if f.get('eval') == 'false' or skip & f.keys(): continue
        if package and exports(c):
            if name is None: continue
            mod = 'aligntune' if name == '__init__' else f'aligntune.{name}'
            yield (i, f'import {mod} as _m; globals().update({{k: v for k, '
                      f'v in vars(_m).items() if not (k.startswith("__") and k != "__version__")}})')
            name = None   # once: the first exported cell brings all names
        else: yield i, c['source']

def name(path): return path.with_suffix('').relative_to('nbs').as_posix()

def differs(path):
    "Whether running it as it stands shows more than running it on the package, at a price worth it"
    return name(path).startswith(BOTH) and name(path) != 'core/12_estimate' and '"#| export' in (root/path).read_text()

def lessons(path, package, run_flags, at):
    "Run one notebook here, the number of the current cell in the file `at`; the message of its failure, or nothing"
    from execnb.shell import CaptureShell
    shell = CaptureShell(str(path))
    os.chdir((root/path).parent)
    said = {}   # what lessons say that they skip
    for i, source in sources(path, package, run_flags):
        shell._cell_idx = i; at.write_text(str(i))
        said |= dict.fromkeys(re.findall(SKIPPED, ''.join(''.join(o.get('text', '')) for o in shell.run(source))))
        if shell.exc: return f'{path} cell {i}:\n{shell.prettytb(fname=path).split("=" * 20)[-1].strip("= ").strip()}'
    for why in said: print(skip_line(path, why))

def child(path, package, run_flags, log, errors):
    "The forked process of one notebook: run it, save its coverage, leave"
    os.setpgid(0, 0)   # a group of its own, so that a hanging notebook ends with all its children
    faulthandler.register(signal.SIGUSR1)   # where it hangs
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC); os.dup2(out, 1); os.dup2(out, 2)
    if errors: record(errors)
    cov = None
    if package:
        import coverage
        cov = coverage.Coverage(data_file=str(root/'.cache/coverage'), data_suffix=log.stem,
                                source=[str(root/'aligntune')], omit=['*/_modidx.py'])
        cov.start()
    try: failed = lessons(path, package, run_flags, log.with_suffix('.cell'))
    except BaseException as e: failed = f'{path}: {type(e).__name__}: {e}'
    if cov: cov.stop(); cov.save()
    if failed: print(failed)
    sys.stdout.flush(); os._exit(bool(failed))

def run(paths, package, limit, workers, run_flags, errors):
    "Run all; {notebook: problem}"
    logs = root/'.cache/logs'; logs.mkdir(parents=True, exist_ok=True)
    seconds = json.loads(TIMES.read_text()) if TIMES.exists() else {}
    cold = [p for p in paths if name(p).startswith(COLD)]
    todo = sorted(paths, key=lambda p: (p not in cold, -seconds.get(str(p), 30)))
    running, problems, warmed = {}, {}, False
    while todo or running:
        while todo and len(running) < workers:
            # one import of the heavy libraries serves all notebooks forked from here
            if todo[0] not in cold and not warmed:
                warm(); warmed = True
            path = todo.pop(0); log = logs/(re.sub(r'\W', '_', str(path)) + '.log')
            log.with_suffix('.cell').write_text('-')
            pid = os.fork()
            if not pid: child(path, package, run_flags, log, errors)
            running[pid] = path, time.time(), log
        time.sleep(.02)
        for pid, (path, start, log) in list(running.items()):
            done, status, cpu = os.wait4(pid, os.WNOHANG)
            took = time.time() - start
            if not done and took < limit: continue
            if not done:
                os.kill(pid, signal.SIGUSR1); time.sleep(.5)
                os.killpg(pid, signal.SIGKILL); os.waitpid(pid, 0)
                problems[path] = (f'{path} cell {log.with_suffix(".cell").read_text()}: stopped after {limit} s, '
                                  f'it hangs or is too slow\n{log.read_text()[-2000:]}')
            elif status: problems[path] = log.read_text()[-4000:] or f'{path}: died with status {status}'
            del running[pid]
            seconds[str(path)] = round(took, 1)
            print(f'{"FAILED" if path in problems else "ok":6} {took:5.1f} s {cpu.ru_utime + cpu.ru_stime:5.1f} s of a '
                  f'core  {path}', flush=True)
            for line in re.findall(r'(?m)^skipped {10}.*', log.read_text()): print(line, flush=True)
    TIMES.write_text(json.dumps(seconds, indent=0))
    return problems

def files():
    return {p.relative_to(root) for p in (root/'nbs').rglob('*') if p.is_file() and '.ipynb_checkpoints' not in p.parts}

def covered():
    "Line coverage of the package by all lessons, printed; a problem if it is too low"
    import coverage
    cov = coverage.Coverage(data_file=str(root/'.cache/coverage'), source=[str(root/'aligntune')],
                            omit=['*/_modidx.py'])
    cov.combine(keep=False)
    total = cov.report(skip_covered=True, show_missing=True)
    return [f'line coverage {total:.1f} % is under {COVER} %'] if total < COVER else []

if __name__ == '__main__':
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('notebooks', nargs='*', type=Path)
    ap.add_argument('--package', action='store_true')
    ap.add_argument('--all', action='store_true')
    ap.add_argument('--flags', default='')
    ap.add_argument('--errors', type=Path)
    ap.add_argument('--limit', type=int, default=1800)
    ap.add_argument('--workers', type=int, default=min(os.cpu_count() or 1, 4))
    ap.add_argument('--processor', choices=PROCESSORS, default='native')
    ap.add_argument('--threads', type=int, default=1)
    a = ap.parse_args()
    # more threads than cores must not spin
    os.environ |= PROCESSORS[a.processor] | dict(OMP_NUM_THREADS=str(a.threads), OMP_WAIT_POLICY='passive')
    if not a.notebooks:
        for old in (root/'.cache').glob('coverage*'): old.unlink()
    paths, before = a.notebooks or [p for p in notebooks() if a.package or a.all or differs(p)], files()
    lacking = [p for p in paths if find_spec('unsloth') is None and name(p) in UNSLOTH]
    for p in lacking: paths.remove(p); print(skip_line(p, 'Unsloth is not installed'))
    try: problems = run(paths, a.package, a.limit, a.workers, set(a.flags.split()), a.errors and a.errors.resolve())
    finally: shutil.rmtree(tempfile.tempdir, ignore_errors=True)
    results = {p: [problems[p]] if p in problems else [] for p in paths}
    results['files'] = [f'{f}: left behind by a lesson; write to a temporary folder'
                        for f in sorted(files() - before)][:10]
    if a.package and not a.notebooks: results['coverage'] = covered()
    report(results)
