"Nobody imports upward, and the light parts of the package stay light."
import ast, re, subprocess, sys
from common import modules, report, root

# from the ground up; nobody imports emulation
ORDER = ('core data process sandbox rewards engine algorithms run backends share evaluate show series monitor bench '
         'hub demo recipes foreign schedulers commands completion cli emulation').split()
NAMED = re.compile(r'aligntune\.[a-z_.]+(:\w*)?')   # a module, or something in it, as a string
HEAVY = 'torch transformers trl peft datasets unsloth accelerate'.split()
NEVER = 'nbdev fastcore execnb'.split()   # tools of development: the package does not need them
IMPORT, HELP = 150, 250   # modules; versions of Python differ by some tens

def room(module): return (module.split('.') + [''])[1]

def imported(path, module):
    "(line, dotted name) of every import in a file, at any depth"
    package = module if path.name == '__init__.py' else module.rpartition('.')[0]
    for o in ast.walk(ast.parse(path.read_text())):
        if isinstance(o, ast.Import): yield from ((o.lineno, a.name) for a in o.names)
        elif isinstance(o, ast.ImportFrom):
            up = package.split('.')[:len(package.split('.')) - o.level + 1] if o.level else []
            base = '.'.join([*up, *([o.module] if o.module else [])])
            yield from ((o.lineno, f'{base}.{a.name}' if base == 'aligntune' else base) for a in o.names)

def strings(path):
    "(line, dotted name) of every module that a string names; what `python -m` starts is a program, and no import"
    nodes = list(ast.walk(ast.parse(path.read_text())))
    pairs = [p for o in nodes if isinstance(o, ast.List | ast.Tuple) for p in zip(o.elts, o.elts[1:])]
    started = {id(b) for a, b in pairs if isinstance(a, ast.Constant) and a.value == '-m'}
    for o in nodes:
        named = isinstance(o, ast.Constant) and isinstance(o.value, str) and NAMED.fullmatch(o.value)
        if named and id(o) not in started: yield o.lineno, o.value

def upward(module, path):
    "Imports of a higher room, and of development tools"
    here = room(module)
    if here not in ORDER:
        return [f'{path.relative_to(root)}: the room "{here}" is not in the order {" < ".join(ORDER)}'] if here else []
    found = []
    for line, name in sorted(set(imported(path, module))):
        at = f'{path.relative_to(root)}:{line}: {module} imports {name}'
        if name.split('.')[0] in NEVER: found.append(f'{at}, a development tool')
        if name.split('.')[0] != 'aligntune' or name == 'aligntune.__version__': continue
        there = room(name)
        if there not in ORDER: found.append(f'{at} from the top level; import it from its own module')
        elif ORDER.index(there) > ORDER.index(here): found.append(f'{at}, upward: {there} stands above {here}')
    for line, name in sorted(set(strings(path))):
        there = room(name.partition(':')[0])
        if there in ORDER and ORDER.index(there) > ORDER.index(here):
            found.append(f'{path.relative_to(root)}:{line}: {module} names {name}, upward: {there} stands above {here}')
    return found

def python(code): return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=root)

def light(module):
    "A fresh interpreter imports the module and no heavy library"
    r = python(f'import sys; sys.path.insert(0, "."); import {module}; '
               f'print(*[o for o in {HEAVY} if o in sys.modules])')
    if r.returncode: return [f'{module} cannot be imported: {r.stderr.strip().splitlines()[-1]}']
    return [f'`import {module}` loads {r.stdout.strip().replace(" ", ", ")}'] if r.stdout.strip() else []

def few(what, code, limit):
    "A fresh interpreter loads few modules: what takes long to start is what it imports"
    r = python(code + '; import sys; print(len(sys.modules))')
    if r.returncode: return [f'{what} fails: {r.stderr.strip().splitlines()[-1]}']
    n = int(r.stdout.split()[-1])
    print(f'{what}: {n} modules, those of Python included (limit {limit})')
    return [f'{what} loads {n} modules, over {limit}'] if n > limit else []

if __name__ == '__main__':
    mods = modules()
    results = {f'layer {m}': upward(m, p) for m, p in mods.items()}
    results |= {f'light {m}': light(m) for m in mods if m == 'aligntune' or room(m) in ('core', 'cli')}
    results['import'] = few('import aligntune', 'import aligntune', IMPORT)
    if 'aligntune.cli' in mods:
        results['help'] = few('aligntune --help', 'from aligntune.cli import main; main(["--help"])', HELP)
    report(results)
