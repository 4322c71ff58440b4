"""The house rules that a machine can count: `python tools/check_house.py core run.run` looks at some modules only.

Exported cells and functions of 40 lines; three conditions in an expression; one statement a line but for short guards;
no class with more than three classes of ours above it; private names of TRL and transformers in one module; the name
of a backend decided on in its own table only; no public top-level name with two meanings. Ruff counts the columns."""
import ast, functools, importlib.util, re, statistics, sys
from collections import defaultdict
from pathlib import Path
from common import cells, exports, modules, notebooks, report, root

CELL, FUNCTION, CONDITIONS, DEPTH = 40, 40, 3, 3
# the one module that knows private names of other libraries
PRIVATE = 'algorithms.trl'
LIBRARIES = 'trl transformers peft accelerate'.split()
READ = dict(
    trl='trainer/base_trainer trainer/sft_trainer trainer/dpo_trainer trainer/grpo_trainer trainer/reward_trainer'
            .split(), transformers='trainer modeling_utils cache_utils'.split())
BACKENDS = ('core.capability', 'core.registry')              # where a backend's name decides something
ONCE = 'main make_trainer logger log SETTINGS'.split()            # the same in every module that has it
WORDS = ('commands', 'hub')   # a word of the command line, or of Training Hub, has the name of what it calls

def short(module): return module.removeprefix('aligntune.')

@functools.cache
def private_names():
    "Methods and attributes with an underscore that the libraries' trainers and models define"
    found = set()
    for package, files in READ.items():
        home = Path(importlib.util.find_spec(package).origin).parent
        for tree in (ast.parse((home/f'{f}.py').read_text()) for f in files if (home/f'{f}.py').exists()):
            for o in ast.walk(tree):
                if isinstance(o, ast.FunctionDef): found.add(o.name)
                elif isinstance(o, ast.Attribute) and isinstance(o.value, ast.Name) and o.value.id == 'self':
                    found.add(o.attr)
    return {n for n in found if n.startswith('_') and not n.startswith('__')}

def private(module, tree):
    "Private names of TRL and transformers outside of the module for them"
    if short(module) == PRIVATE: return
    for o in ast.walk(tree):
        if isinstance(o, ast.ImportFrom) and (o.module or '').split('.')[0] in LIBRARIES and not o.level:
            yield from ((o.lineno, f'imports {a.name} of {o.module}') for a in o.names if a.name.startswith('_'))
        elif isinstance(o, ast.Attribute) and o.attr in private_names(): yield o.lineno, f'uses {o.attr}'
        elif isinstance(o, ast.ClassDef) and o.bases:
            mine = [f for f in o.body if isinstance(f, ast.FunctionDef) and f.name in private_names()]
            yield from ((f.lineno, f'overrides {f.name}') for f in mine)

def decided(module, tree):
    "Comparisons with the name of a backend"
    if short(module) in BACKENDS: return
    for o in ast.walk(tree):
        if isinstance(o, ast.Compare):
            names = [c.value for c in ast.walk(o) if isinstance(c, ast.Constant) and c.value in ('unsloth', 'trl')]
            if names: yield o.lineno, f'compares with {names[0]!r}: a line of core.capability decides that'

def crowded(module, tree):
    "Long functions, many conditions, several statements on a line"
    for o in ast.walk(tree):
        if isinstance(o, ast.FunctionDef | ast.AsyncFunctionDef):
            n = o.end_lineno - min([o.lineno, *(d.lineno for d in o.decorator_list)]) + 1
            if n > FUNCTION: yield o.lineno, f'{o.name} has {n} lines'
        if isinstance(o, ast.BoolOp):
            n = sum(len(b.values) - 1 for b in ast.walk(o) if isinstance(b, ast.BoolOp)) + 1
            if n > CONDITIONS: yield o.lineno, f'{n} conditions in one expression'
        for body in (getattr(o, k, None) for k in ('body', 'orelse', 'finalbody')):
            if not isinstance(body, list): continue
            yield from ((b.lineno, 'two statements on a line') for a, b in zip(body, body[1:])
                        if a.end_lineno == b.lineno
                        and not isinstance(b, ast.Return | ast.Raise | ast.Continue | ast.Break))

def notebook(path):
    "Long exported cells of a notebook"
    sizes = [(i, size(c)) for i, c in enumerate(cells(path)) if exports(c)]
    return [f'{path} cell {i}: {n} exported lines in one cell' for i, n in sizes if n > CELL]

def size(cell):
    "Lines of a cell, without directives"
    return len([l for l in cell['source'].splitlines() if not l.startswith('#|')])

def ancestry(trees):
    "Of each class of ours, how many classes of ours stand above it in its longest line"
    bases = {o.name: [b.id if isinstance(b, ast.Name) else getattr(b, 'attr', '') for b in o.bases]
             for t in trees.values() for o in t.body if isinstance(o, ast.ClassDef)}
    @functools.cache
    def depth(name): return max((1 + depth(b) for b in bases.get(name, []) if b in bases and b != name), default=0)
    return {n: depth(n) for n in bases}

def twice(trees):
    "Public top-level names that several modules define"
    where = defaultdict(list)
    for m, t in trees.items():
        if short(m) in WORDS: continue
        for o in t.body:
            if isinstance(o, ast.FunctionDef | ast.ClassDef): where[o.name].append(short(m))
    return {n: ms for n, ms in where.items() if len(ms) > 1 and not n.startswith('_') and n not in ONCE}

if __name__ == '__main__':
    only = [a.rstrip('/').replace('/', '.') for a in sys.argv[1:]]
    chosen = lambda m: not only or any(m == o or m.startswith(o + '.') for o in only)
    files = modules()
    trees = {m: ast.parse(p.read_text()) for m, p in files.items()}
    depth, results = ancestry(trees), {}
    for m, tree in trees.items():
        if not chosen(short(m)): continue
        at = files[m].relative_to(root)
        found = [f'{at}:{line}: {what}' for rule in (private, decided, crowded) for line, what in rule(m, tree)]
        found += [f'{at}:{o.lineno}: {o.name} has {depth[o.name]} classes of ours above it'
                  for o in tree.body if isinstance(o, ast.ClassDef) and depth[o.name] > DEPTH]
        results[m] = found
    for p in notebooks():
        if chosen('.'.join(re.sub(r'^\d+[a-z]?_', '', x) for x in p.relative_to('nbs').with_suffix('').parts)):
            results[str(p)] = notebook(p)
    for n, ms in twice(trees).items():
        if any(map(chosen, ms)):
            results[f'name {n}'] = [f'{n} is defined in {", ".join(ms)}: two meanings want two names, '
                                    f'one wants one place']
    sizes = [size(c) for p in notebooks() for c in cells(p) if exports(c)]
    report(results, f'{len(sizes)} exported cells, {statistics.median(sizes):g} lines in the median')
