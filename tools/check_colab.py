"""What `pip install aligntune` keeps and replaces on Colab, from Colab's own list of packages.

    python tools/check_colab.py              check, and print what is replaced
    python tools/check_colab.py --lock FILE  write tools/colab.txt from a list as Colab publishes it
                                             (github.com/googlecolab/backend-info, pip-freeze.gpu.txt)
    python tools/check_colab.py --newest REPORT   note what the versions require that pip takes there; the report is of
                                             `pip install --dry-run --report REPORT` among Colab's versions

Requirements are walked from ours downwards: by the metadata of the packages that pip takes on Colab, as noted in
tools/colab.txt, and of the others as they are installed here. A version of Colab's that satisfies all of them stays.
Fails where torch or ipywidgets would be replaced, or where an install cell of a walkthrough does not name what is."""
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical
from common import cells, notebooks, report, root

LOCK = root/'tools/colab.txt'
KEPT = ('torch', 'ipywidgets')   # replacing them costs gigabytes, or breaks the widgets of Colab's page
INSTALL = r'pip install -q "aligntune(?:\[([\w,]+)\])? @'
SAID = r'replaces ([\w, \n#-]+?)[.;:]'

def settings():
    "Our requirements by extra; the plain ones under an empty name"
    text = (root/'settings.ini').read_text()
    found = dict(re.findall(r'(?m)^(?:(\w+)_)?requirements = (.*)$', text))
    return {name: [Requirement(r) for r in line.split()] for name, line in found.items()}

def locked():
    "Colab's Python and its packages"
    lines = LOCK.read_text().splitlines()
    python = next(re.search(r'Python (\d+\.\d+)', l)[1] for l in lines if l.startswith('#') and 'Python' in l)
    return python, dict(l.split('==') for l in lines if l and not l.startswith('#'))

NEWEST = '# requires '
def newest():
    "What the versions require that pip takes on Colab: {package: requirements}"
    lines = [l.removeprefix(NEWEST).split(': ', 1) for l in LOCK.read_text().splitlines() if l.startswith(NEWEST)]
    return {l[0].split('==')[0]: [Requirement(r) for r in l[1].split(' | ')] for l in lines}

def installed(name):
    "Whether this machine has a package"
    try: return bool(distribution(name))
    except PackageNotFoundError: return False

def needed(requirement, env):
    "What a package of this machine requires, with the extras that are asked for; nothing where it is not installed"
    lines = newest().get(canonical(requirement.name)) or (
        distribution(requirement.name).requires if installed(requirement.name) else [])
    for r in (Requirement(str(l)) for l in lines or []):
        if not r.marker or any(r.marker.evaluate(env | dict(extra=e)) for e in ['', *requirement.extras]): yield r

def outcome(requirements):
    "(kept, {replaced: (Colab's version, why)}, new) among all packages that the requirements lead to"
    python, have = locked()
    env = default_environment() | dict(python_version=python, python_full_version=f'{python}.0', sys_platform='linux')
    todo, seen, names, replaced = list(requirements), set(), set(), {}
    while todo:
        r = todo.pop()
        name = canonical(r.name)
        names.add(name)
        if name in have and not r.specifier.contains(have[name].split('+')[0], prereleases=True):
            replaced.setdefault(name, (have[name], str(r.specifier)))
        # what Colab has already is complete; what is new or replaced brings requirements of its own
        if (name, *sorted(r.extras)) in seen or (name in have and name not in replaced and not r.extras): continue
        seen.add((name, *sorted(r.extras)))
        todo += needed(r, env)
    return sorted(names & have.keys() - replaced.keys()), replaced, sorted(names - have.keys())

def write_newest(path):
    "Note what the versions require that pip takes on Colab, beside what the lock has"
    kept = [l for l in LOCK.read_text().splitlines() if not l.startswith(NEWEST)]
    found = {canonical(i['metadata']['name']): i['metadata'] for i in json.loads(path.read_text())['install']}
    lines = [f"{NEWEST}{n}=={m['version']}: {' | '.join(r for r in m['requires_dist'] if 'extra ==' not in r)}"
             for n, m in sorted(found.items()) if n != 'aligntune' and m.get('requires_dist')]
    LOCK.write_text('\n'.join(kept + [l for l in lines if not l.endswith(': ')]) + '\n')

def write_lock(path):
    "The part of Colab's list that any of our extras can lead to"
    lines = path.read_text().splitlines()
    have = {canonical(m[1]): m[2] for l in lines if (m := re.match(r'([\w.-]+)(?:==| @ \S*?/\1-)([\w.]+)', l))}
    python = next(f'{m[1][0]}.{m[1][1:]}' for l in lines if (m := re.search(r'-cp(\d+)-', l)))
    todo, seen = [r for rs in settings().values() for r in rs], set()
    while todo:
        r = todo.pop()
        if (canonical(r.name), *sorted(r.extras)) in seen: continue
        seen.add((canonical(r.name), *sorted(r.extras)))
        todo += needed(r, default_environment())
    LOCK.write_text(f'# Versions on a GPU machine of Colab, of what aligntune may need; Python {python}.\n'
                    '# Written by tools/check_colab.py --lock, from the list that Colab publishes.\n'
                    + ''.join(f'{n}=={have[n]}\n' for n in sorted({s[0] for s in seen} & have.keys())))

def check(path, ours):
    "What an install cell says, and what is true"
    text = '\n'.join(c['source'] for c in cells(path))
    found = re.search(INSTALL, text)
    if not found: return [f'{path}: it installs no aligntune']
    wanted = ours[''] + [r for extra in filter(None, (found[1] or '').split(',')) for r in ours[extra]]
    replaced = outcome(wanted)[1]
    said = re.search(SAID, text)
    told = set(re.findall(r'[\w-]+', said[1].replace(' and ', ' '))) if said else set()
    problems = [f'{path}: {n} {replaced[n][0]} of Colab would be replaced ({n}{replaced[n][1]})'
                for n in KEPT if n in replaced and not (n == 'torch' and 'vllm' in (found[1] or ''))]   # it pins one
    # where a package is not installed here, what it requires is not known
    if replaced.keys() - told or (told - replaced.keys() and all(installed(r.name) for r in wanted)):
        problems.append(f'{path}: the install cell says that it replaces {", ".join(sorted(told)) or "nothing"}; '
                        f'it replaces {", ".join(sorted(replaced))}')
    return problems

if __name__ == '__main__':
    if '--lock' in sys.argv: write_lock(Path(sys.argv[-1]))
    if '--newest' in sys.argv: write_newest(Path(sys.argv[-1]))
    ours = settings()
    for extra in ('', 'unsloth'):
        _, replaced, new = outcome(ours[''] + (ours[extra] if extra else []))
        print(f"{extra or 'aligntune':10} replaces " + ', '.join(f'{n} {v} ({s})' for n, (v, s) in replaced.items())
              + f'; adds {", ".join(new)}')
    report({p: check(p, ours) for p in notebooks() if p.parts[1] == 'walkthroughs'})
