"Run every check and end with one line: N passed, N failed. `python tools/test_all.py layers ruff` runs only those."
import os, re, subprocess, sys, time

py = sys.executable
CHECKS = {   # name: (what it proves, command); quick ones first
    'export': ('the package is what the notebooks export', [py, 'tools/check_export.py']),
    'errors': ('every error has a code and a section on its page', [py, 'tools/error_codes.py']),
    'notebooks': ('notebook rules', [py, 'tools/check_notebooks.py']),
    'ruff': ('ruff on notebooks and tools', [py, '-m', 'ruff', 'check', '-q', '--output-format', 'concise', '--config',
                                             'tools/ruff.toml', 'nbs', 'tools', 'setup.py']),
    'layers': ('nobody imports upward; light imports', [py, 'tools/check_layers.py']),
    'house': ('cells, functions, classes, private names: the house rules', [py, 'tools/check_house.py']),
    'pickles': ('nothing is unpickled', [py, 'tools/check_pickles.py']),
    'documented': ('every public name is documented', [py, 'tools/check_documented.py']),
    'colab': ('what the install cells say that pip replaces on Colab', [py, 'tools/check_colab.py']),
    'types': ('mypy on the exported package',
              [py, '-m', 'mypy', '--no-error-summary', '--config-file', 'tools/mypy.ini', 'aligntune']),
    'site': ('pages, links, anchors, README', [py, 'tools/check_site.py']),
    'readme': ('the code of the README runs', [py, 'tools/check_readme.py']),
    'snippets': ('the code of the documentation that this project implements runs as it stands',
                 [py, 'tools/check_snippets.py']),
    'lessons': ('notebooks run as they stand (the longer ones only below, on the package)',
                [py, 'tools/run_notebooks.py']),
    'package': ('all lessons on the exported package, with coverage', [py, 'tools/run_notebooks.py', '--package']),
    'processors': ('numbers as lesser processors and more threads compute them', [py, 'tools/check_processors.py']),
    'browser': ('widgets in a real browser', [py, 'tools/browser.py']),
    'checks': ('each check catches its fault', [py, 'tools/test_checks.py']),
}

TOOK = re.compile(r'(?:ok|FAILED) +([\d.]+) s\b.*  (\S.*)')   # as the checks print it, of a notebook or a block
SKIP = re.compile(r'skipped {10}(\S.*)')   # what a check says that it could not try on this machine
slow: list = []
skipped: dict = {}

def run(name):
    "One check, its output shown as it comes: (passed, failed)"
    what, command = CHECKS[name]
    print(f'\n== {name}: {what}', flush=True)
    start, last = time.time(), ''
    env = os.environ | dict(HF_HUB_OFFLINE='1', HF_HUB_DISABLE_TELEMETRY='1')
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    for line in p.stdout or ():
        last = line.strip() or last
        if t := SKIP.fullmatch(last): skipped[t[1]] = None
        if t := TOOK.fullmatch(last): slow.append((float(t[1]), f'{name}: {t[2]}'))
        if not re.fullmatch(r'\d+ passed, \d+ failed', last): print('   ', line, end='', flush=True)
    rc, m = p.wait(), re.fullmatch(r'(\d+) passed, (\d+) failed', last)
    passed, failed = map(int, m.groups()) if m else (int(not rc), int(bool(rc)))
    if rc and not failed: failed = 1   # a check that died after its summary
    print(f'   {name}: {passed} passed, {failed} failed in {time.time()-start:.0f} s', flush=True)
    return passed, failed

def main(names):
    "Run the named checks, or all; the exit code"
    if unknown := set(names) - set(CHECKS):
        sys.exit(f'no check called {", ".join(unknown)}; there are: {", ".join(CHECKS)}')
    start, results = time.time(), {n: run(n) for n in names or CHECKS}
    bad = [n for n, (_, f) in results.items() if f]
    if len(slow) > 10:
        print('\nthe ten slowest:', *(f'{t:6.1f} s  {what}' for t, what in sorted(slow, reverse=True)[:10]), sep='\n')
    if skipped: print('\nnot tried on this machine:', *skipped, sep='\n  ')
    print(f'\n{time.time()-start:.0f} s'
          + (f'; failed: {", ".join(bad)} (alone: `make check CHECK="{bad[0]}"`)' if bad else ''))
    print(f'{sum(p for p, _ in results.values())} passed, {sum(f for _, f in results.values())} failed')
    return int(bool(bad))

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
