"Rules for notebooks that nbdev does not enforce itself."
import ast, json, re
from collections import Counter
from common import WALKTHROUGH, cells, exports, flags, notebooks, report, root

MACHINE = re.compile(r'(?<![\w.:/])/(?:tmp|root|home|Users|work|content|mnt)/\w[^\s\'"]*|\bat 0x[0-9a-f]{6,}')
MAGIC = re.compile(r'(?m)^(\s*)[%!].*$')
MERGE = re.compile(r'(?m)^`?(<{7}|={7}|>{7})(?: .*)?`?$')
taken: dict = {}   # module -> notebook

def title(c):
    "The first cell holds `# Title`, `> one line`, front matter, and nothing else: nbdev drops any other text"
    if c['cell_type'] != 'markdown' or not re.match(r'# \S', c['source']):
        return ['the first cell is not "# Title" and "> one line"']
    lost = [l for l in c['source'].splitlines() if l.strip() and not re.match(r'(# |> |- \S+:)', l)]
    return [f'the title cell loses {lost[0][:60]!r}: only "# ", "> " and "- key: value" lines are kept'] if lost else []

def module(path, name):
    "A notebook is named like its module, and no other notebook exports the same"
    want = re.sub(r'(^|/)\d+[a-z]?_', r'\1', path.relative_to('nbs').as_posix()).removesuffix('.ipynb').replace(
        '/', '.')
    if name in taken: yield f'default_exp {name} stands in {taken[name]} too'
    if name not in (want, '__init__'): yield f'default_exp {name}, but the notebook is called {want}'
    taken[name] = path

def parsed(c): return ast.parse(MAGIC.sub(r'\1pass', c['source']))

def imports(c):
    "The docs build runs every cell that holds an import, flags or not: imports stand alone"
    try: tree = parsed(c)
    except SyntaxError as e: return [f'syntax error: {e.msg}']
    found = [isinstance(o, (ast.Import, ast.ImportFrom)) for o in ast.walk(tree)]
    alone = all(isinstance(o, (ast.Import, ast.ImportFrom)) for o in tree.body)
    return ['an import mixed with other code'] if any(found) and not alone else []

def outputs(c):
    "Saved outputs show no error, no machine and no megabytes"
    outs = c.get('outputs', [])
    if any(o['output_type'] == 'error' for o in outs): yield 'a saved error'
    text = ''.join(str(o.get('text', '')) + ''.join(str(v) for k, v in o.get('data', {}).items() if 'image' not in k)
                   for o in outs)
    if m := MACHINE.search(text): yield f'the saved output names this machine: {m[0][:60]}'
    if sum(len(str(o)) for o in outs) > 300_000: yield 'a saved output over 300 kB'

CLOCKS = set('perf_counter perf_counter_ns monotonic monotonic_ns process_time thread_time time_ns'.split())
ASSIGNMENTS = (ast.Assign, ast.AugAssign, ast.AnnAssign)

def called(n): return getattr(n.func, 'attr', getattr(n.func, 'id', '')) if isinstance(n, ast.Call) else ''

def timed(tree, names):
    "Whether an expression reads a clock, or a name that holds such a reading"
    reads = lambda n: called(n) in CLOCKS or called(n) == 'time' and ast.unparse(n.func) == 'time.time'
    return any(reads(n) or isinstance(n, ast.Name) and n.id in names for n in ast.walk(tree))

def number(tree):
    "Whether an expression holds a number other than 0"
    return any(isinstance(n, ast.Constant) and type(n.value) in (int, float) and n.value for n in ast.walk(tree))

def clocks(cs):
    "A lesson holds no time against a number: the next machine is another one, and busy"
    names = set()
    for i, c in enumerate(cs):
        if c['cell_type'] != 'code' or exports(c): continue
        try: nodes = list(ast.walk(parsed(c)))
        except SyntaxError: continue   # told above
        for n in (n for n in nodes if isinstance(n, ASSIGNMENTS) and n.value is not None and timed(n.value, names)):
            targets = [m for t in getattr(n, 'targets', None) or [n.target] for m in getattr(t, 'elts', [t])]
            names |= {m.id for m in targets if isinstance(m, ast.Name)}
        names |= {ast.unparse(n.func.value)
                  for n in nodes if called(n) == 'append' and any(timed(a, names) for a in n.args)}
        for f in (n for n in nodes if isinstance(n, ast.FunctionDef)):
            if any(isinstance(r, ast.Return) and r.value is not None and timed(r.value, names) for r in ast.walk(f)):
                names.add(f.name)
        claims = ([n.test for n in nodes if isinstance(n, ast.Assert)]
                  + [n for n in nodes if re.fullmatch('test(_eq|_close|_ne|_is)?', called(n))])
        if any(timed(n, names) and number(n) for n in claims):
            yield i, 'it asserts a time; count calls, bytes, tokens or files instead (aligntune.bench.measure.calls)'

def runtime(path):
    "A walkthrough asks Colab for a GPU"
    held = json.loads((root/path).read_text(encoding='utf-8'))['metadata']
    if path.parent.name == 'walkthroughs' and not WALKTHROUGH.items() <= held.items():
        yield f'its metadata does not ask Colab for a GPU ({WALKTHROUGH}); write it with tools/mknb.py'

def check(path):
    "All problems of one notebook"
    cs, problems = cells(path), []
    for i, c in enumerate(cs):
        f, found = flags(c), []
        if MERGE.search(c['source']): found.append('a merge conflict marker')
        if 'default_exp' in f: found += module(path, f['default_exp'])
        if c['cell_type'] == 'code':
            found += outputs(c)
            if any(map(exports, cs)) and not exports(c) and f.get('eval') != 'false': found += imports(c)
        problems += [f'{path} cell {i}: {o}' for o in found]
    problems += [f'{path} cell {i}: {o}' for i, o in clocks(cs)]
    for k, n in Counter(c.get('id') for c in cs).items():
        if k is None or n > 1:
            problems.append(f'{path}: ' + ('a cell without id; run `make export`' if k is None
                                           else f'cell id {k} stands {n} times'))
    lessons = [c['source'] for c in cs if c['cell_type'] == 'code' and not exports(c)]
    if any(map(exports, cs)) and not re.search(r'\btest_\w+\(|\bassert\b', '\n'.join(lessons)):
        problems.append(f'{path}: it exports code and asserts nothing')
    return problems + [f'{path}: {o}' for o in (*(title(cs[0]) if cs else ['no cells']), *runtime(path))]

report({p: check(p) for p in notebooks()})
