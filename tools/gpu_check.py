"""Check everything on this machine's GPU within nine minutes: parity with TRL, every algorithm, memory, speed.

    python tools/gpu_check.py                    writes nbs/bench/gpu_<name>.json, .md and a .png for each race
    python tools/gpu_check.py --wheels DIR       with the packages in DIR/*.whl, which are unpacked, not installed
    python tools/gpu_check.py --tiny --out DIR   tiny models, also on a CPU: does the check itself work? In 15 minutes

A plain checkout is enough, and PYTHONPATH may name further folders. What each case does stands in
nbs/bench/10_gpu_check.ipynb. The files are written after every case."""
import argparse, os, re, shutil, signal, sys, tempfile, time, zipfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEAST = ('torch', 'packaging', 'yaml')   # what any case needs
MEMORY_DISK, ROOM = Path('/dev/shm'), 24e9   # models are written to memory where so many bytes are free there

def unpack(wheels, folder):
    "Unpack wheels; importable here and in all processes that start from here"
    files = sorted(Path(wheels).glob('*.whl'))
    for f in files:
        with zipfile.ZipFile(f) as z: z.extractall(folder)
    print(f'{len(files)} wheels from {wheels}', flush=True)

def importable(*folders):
    "Put folders before all others, here and in all processes that start from here"
    sys.path[:0] = folders
    os.environ['PYTHONPATH'] = os.pathsep.join([*folders, *filter(None, [os.environ.get('PYTHONPATH')])])

def absent(modules):
    "Those that are not installed, as text"
    return ', '.join(n for n in modules if find_spec(n) is None)

def place():
    "Where models go: to memory, if there is room"
    room = MEMORY_DISK.is_dir() and shutil.disk_usage(MEMORY_DISK).free > ROOM
    return str(MEMORY_DISK) if room else tempfile.gettempdir()

def no_gpu(version, built_for):
    "Why nothing was checked, and what helps"
    text = 'no GPU that torch can drive: nothing checked (--tiny tries the check itself on a CPU)'
    if built_for: return text
    return (f'{text}. PyTorch {version} of {sys.executable} is built for CPUs: `make TORCH={version.split("+")[0]}` '
            'installs the build for GPUs, `make gpu-check PYTHON=python3` takes another Python')

def found_room(home, tiny):
    "The device as a child process sees it, since a driver's state must not be inherited; its name, and what is there"
    from aligntune.bench.cases import Case, run_one
    from aligntune.bench.gpu_check import REQUIRED, Room, unmet
    if missing := absent(REQUIRED): print(f'not installed: {missing}; cases that need them are skipped', flush=True)
    for package, names in unmet().items(): print(f"{package} needs {', '.join(names)}: not installed", flush=True)
    r = run_one(Case('device', 'aligntune.bench.gpu_check:describe_device', limit=90))
    if r.state != 'ok': sys.exit(f'the device cannot be asked: {r.why.strip().splitlines()[-1]}')
    if r.result['device'] == 'cpu' and not tiny: sys.exit(no_gpu(r.result['torch'], r.result['built_for']))
    return r.result['name'], Room(r.result['precision'], r.result['memory'], shutil.disk_usage(home).free,
                                  os.cpu_count() or 1)

def check(a, home):
    "Run all cases; the exit code"
    if missing := absent(LEAST):
        sys.exit(f'not installed: {missing}, without which nothing can be checked; --wheels DIR unpacks wheels')
    from aligntune.bench.cases import run_cases
    from aligntune.bench.gpu_check import GPU, TINY, all_cases
    from aligntune.bench.gpu_report import TRIAL, write_report
    begin = time.time()
    name, room = found_room(home, a.tiny)
    cases = [c for c in all_cases(home, TINY if a.tiny else GPU, room) if re.search(a.only, c.name)]
    file = 'gpu_' + re.sub(r'\W+', '_', name.lower()).strip('_') + TRIAL*a.tiny
    told = set()
    about = dict(title=f'GPU check, {name}{", tiny models" if a.tiny else ""}', date=time.strftime('%Y-%m-%d'),
                 minutes=a.minutes)
    def keep(results):
        write_report(a.out, results, file, **about)
        for r in results:
            if r.state in ('running', 'waiting') or r.name in told: continue
            told.add(r.name)
            print(r.line(), flush=True)
    results = run_cases(cases, keep, a.minutes - (time.time() - begin)/60, a.workers or room.workers)
    for r in results:
        if r.state == 'waiting': print(r.line(), flush=True)
    try: files = write_report(a.out, results, file, draw=True, seconds=time.time() - begin, **about)
    except ImportError as e: print(f'no picture: {e}'); files = [Path(a.out, f'{file}.md')]
    print(f"{time.time() - begin:.0f} s; wrote {', '.join(map(str, files))}")
    return int(any(r.state not in ('ok', 'skipped') for r in results))

def main():
    "Read the arguments, and run"
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--out', help='folder of the files; .cache with --tiny')
    p.add_argument('--wheels', help='a folder of wheels')
    p.add_argument('--minutes', type=float, help='for all, 9 or 60 with --tiny; cases that are left then are named')
    p.add_argument('--workers', type=int, default=0, help='cases at a time where no speed is measured')
    p.add_argument('--only', default='', help='only cases with this pattern in their names')
    p.add_argument('--tiny', action='store_true', help='tiny models; Unsloth on a CPU too')
    a = p.parse_args()
    a.out = a.out or str(ROOT/('.cache' if a.tiny else 'nbs/bench'))
    a.minutes = a.minutes or (60. if a.tiny else 9.)   # a CPU may be busy, and is not rented
    os.environ |= dict(HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false', HF_HUB_DISABLE_TELEMETRY='1')
    if a.tiny: os.environ.setdefault('UNSLOTH_FORCE_CPU', '1')
    with (tempfile.TemporaryDirectory(dir=place(), prefix='gpu-check-', ignore_cleanup_errors=True) as home,
          tempfile.TemporaryDirectory(prefix='wheels-') as site):   # shared libraries do not load from every /dev/shm
        def stop(number, frame):   # what is known is on the disk, and cases end with this process
            for folder in (home, site): shutil.rmtree(folder, ignore_errors=True)
            os._exit(128 + number)
        for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, stop)
        if a.wheels: unpack(a.wheels, site)
        importable(str(ROOT), *([site] if a.wheels else []))
        os.environ |= dict(HF_DATASETS_CACHE=f'{home}/cache', ALIGNTUNE_CACHE=f'{home}/cache', TMPDIR=home)
        return check(a, home)

if __name__ == '__main__': sys.exit(main())
