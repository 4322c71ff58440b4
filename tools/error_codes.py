"""Codes of all errors: find every place of the package that makes one, and keep `aligntune/core/error_codes.json` true.

    python tools/error_codes.py                  check that no error lacks its code
    python tools/error_codes.py --write          give codes to new errors; codes of removed ones stay reserved
                                                 (a text that is reworded wholly: write it into the table first)
    python tools/error_codes.py --examples LOG   take real examples from a log of errors that were raised

The log is written by `python tools/run_notebooks.py --errors LOG`, for any notebooks: one JSON list for each error that
a lesson makes. A script of one's own calls `record(LOG)` before it raises."""
import ast, itertools, json, re, sys
from collections import defaultdict
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from common import modules, report, root

FILE = root/'aligntune/core/error_codes.json'
GAP = '…'   # a name or a number that is not known before
KINDS = dict(SpecError='S', DataError='D', UnsupportedError='U', MissingPackageError='P', ModelError='M',
             RewardError='W', RunError='R', GuardError='G', EngineError='E')
PARTS = ('what', 'why', 'fix')
USUAL = dict(what=0, why=2, fix=3)   # positions in the call of an error class
# what makes an error from its arguments, and is no function that can be read: kind, positions of what, why, fix
MAKERS = dict(Fault=('DataError', 1, None, None), LeftOut=('DataError', 0, None, None),
              MissingFile=('SpecError', 0, 2, 3))
# texts of errors in a table of their module
TABLES = {'core.hub_client': dict(MESSAGES=['ModelError', 'DataError'])}
# errors of Python whose text becomes that of one of ours
PASSED_ON = {'data.sources': dict(ValueError='DataError')}
# texts that are more than one pattern, and one error: they share its code
SAME = {'… must be …, not …':
        r'[….]+ must be (….*|one of …|a (whole )?number of at least …|true or false|a name), not …',
        '… has no rows…': '… has no rows',
        'unknown … …': 'unknown algorithm …'}
CONSTANTS: dict = {}   # texts that modules import from each other
MOST = 12   # alternatives of one text
PASSED = {'data.sources': f'{GAP}: {GAP}'}   # texts that are those of another error behind a name: it has the code


@dataclass
class Site:
    "A place that makes an error"
    module: str
    line: int
    kind: str
    what: tuple
    why: tuple
    fix: tuple

@dataclass
class Maker:
    "A function or a class whose call makes an error"
    kind: str
    args: dict   # part: (position, name) of an argument, or its texts
    module: str = ''


class Source:
    "One module: its tree, and which function holds which node"
    def __init__(self, name, tree):
        self.name, self.tree, self.holder, self.calls, self.values = name, tree, {}, [], {}
        self.top = {t.id: o.value for o in tree.body if isinstance(o, ast.Assign) for t in o.targets
                    if isinstance(t, ast.Name)}
        self.top |= {o.target.id: o.value for o in tree.body if isinstance(o, ast.AnnAssign) and o.value
                     and isinstance(o.target, ast.Name)}
        self.imports = {(a.name, (o.module or '').split('.')[-1]) for o in ast.walk(tree)
                        if isinstance(o, ast.ImportFrom) for a in o.names}
        self.ends = {getattr(o, 'exc', None) or getattr(o, 'value', None) for o in ast.walk(tree)
                     if isinstance(o, ast.Raise | ast.Return)}
        self.functions = {}
        self._walk(tree, None)

    def _walk(self, node, function):
        for o in ast.iter_child_nodes(node):
            inside = function
            if isinstance(o, ast.FunctionDef | ast.AsyncFunctionDef): inside = self.functions[o.name] = o
            if isinstance(o, ast.Call): self.calls.append(o)
            self.holder[o] = inside
            self._walk(o, inside)

    def sees(self, name, module):
        "Whether a function of another module, or of this one, is called by its name here"
        return module == self.name or (name, module.split('.')[-1]) in self.imports

    def assigned(self, name, function):
        "The values that a function gives to a name"
        scope = function or self.tree
        if scope not in self.values:
            self.values[scope] = found = defaultdict(list)
            for o in ast.walk(scope):
                for n, v in _values(o): found[n].append(v)
        return self.values[scope][name]


def _values(o):
    "(name, value) of an assignment"
    if isinstance(o, ast.Assign):
        for t in o.targets:
            if isinstance(t, ast.Name): yield t.id, o.value
            elif isinstance(t, ast.Tuple): yield from _unpacked(t, o.value)
    elif isinstance(o, ast.AnnAssign | ast.NamedExpr) and isinstance(o.target, ast.Name) and o.value is not None:
        yield o.target.id, o.value

def _unpacked(target, value):
    "(name, value) in `a, b = x, y`, or `a, b = (x, y) if ... else (z, w)`"
    for v in [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]:
        if isinstance(v, ast.Tuple) and len(v.elts) == len(target.elts):
            yield from ((t.id, x) for t, x in zip(target.elts, v.elts) if isinstance(t, ast.Name))


def _join(*parts):
    "All combinations of texts, one of each part"
    found = itertools.islice(itertools.product(*parts), MOST + 1)
    found = [re.sub('…+', GAP, ''.join(p)) for p in found]
    return list(dict.fromkeys(found)) if len(found) <= MOST else [re.sub('…+', GAP, ''.join(
        p[0] if len(p) == 1 else GAP for p in parts))]

def texts(node, source, depth=0):
    "The texts that an expression may have, … for what is not known"
    again = lambda n: texts(n, source, depth)
    match node:
        case ast.Constant(value=str(s)): return [s]
        case ast.Constant(value=None): return ['']
        case ast.JoinedStr(values=vs): return _join(*map(again, vs))
        case ast.FormattedValue(value=v):
            return again(v) if isinstance(v, ast.IfExp) else [GAP]
        case ast.IfExp(body=a, orelse=b): return list(dict.fromkeys(again(a) + again(b)))
        case ast.BoolOp(values=vs): return list(dict.fromkeys(t for v in vs for t in again(v)))
        case ast.BinOp(left=a, op=ast.Add(), right=b): return _join(again(a), again(b))
        case ast.Call(func=ast.Name(id='did_you_mean')): return ['did you mean …?']
        case _ if depth > 3: return [GAP]
        case ast.Name(id=name): return _of_name(name, node, source, depth)
        case ast.Subscript(value=ast.Name(id=name)): return _of_table(name, source, depth)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr='get')):
            return list(dict.fromkeys(_of_table(name, source, depth) + [t for a in node.args[1:] for t in again(a)]))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in source.functions:
            values = [o.value for o in ast.walk(source.functions[name]) if isinstance(o, ast.Return) and o.value]
            return list(dict.fromkeys(t for v in values for t in texts(v, source, depth + 1)))[:MOST] or [GAP]
    return [GAP]

def _of_name(name, node, source, depth):
    "The texts of a variable"
    found = [t for v in source.assigned(name, source.holder.get(node)) for t in texts(v, source, depth + 1)]
    constant = source.top.get(name, CONSTANTS.get(name) if name.isupper() else None)
    if not found and constant is not None: found = texts(constant, source, depth + 1)
    return list(dict.fromkeys(found))[:MOST] or [GAP]

def _of_table(name, source, depth):
    "The texts among the values of a dictionary of the module"
    table = source.top.get(name)
    if isinstance(table, ast.Dict): values = table.values
    elif isinstance(table, ast.Call) and _called(table) == 'dict': values = [k.value for k in table.keywords]
    else: return [GAP]
    return list(dict.fromkeys(t for v in values for t in texts(v, source, depth + 1)))[:2*MOST]


def kinds_of(call, source):
    "The classes of `(A if x else B)(...)`, or of a variable that is one of them"
    found = [call.func] if isinstance(call.func, ast.IfExp) else []
    if isinstance(call.func, ast.Name): found = source.assigned(call.func.id, source.holder.get(call))
    return list(dict.fromkeys(o.id for v in found if isinstance(v, ast.IfExp | ast.Name) for o in ast.walk(v)
                              if isinstance(o, ast.Name) and o.id in KINDS))

def of_tables(sources):
    "Errors whose texts stand in a table: three texts a row, with names in braces"
    for s in sources:
        for name, kinds in TABLES.get(s.name, {}).items():
            for row in s.top[name].values:
                what, why, fix = (re.sub(r'\{[^{}]*\}', GAP, t.value) for t in row.elts)
                yield from (Site(s.name, row.lineno, k, (what,), (why,), (fix,)) for k in kinds)

def _raised(call, source):
    "Whether a call may make an error: it is raised or returned, or has a part of one"
    return call in source.ends or any(k.arg in PARTS for k in call.keywords)

def _called(call): return getattr(call.func, 'id', None) or getattr(call.func, 'attr', None)

def _argument(call, at, source):
    "The node of an argument, by position or name, or of a table of the module that `**` unpacks"
    position, name = at
    tables = [source.top.get(getattr(k.value, 'id', '')) for k in call.keywords if k.arg is None]
    unpacked = [k for t in tables if isinstance(t, ast.Call) for k in t.keywords]
    return next((k.value for k in [*call.keywords, *unpacked] if k.arg == name),
                call.args[position] if position is not None and position < len(call.args) else None)

def _parameters(function):
    "{name: position} of a function, `self` not counted"
    names = [a.arg for a in function.args.posonlyargs + function.args.args]
    names = names[1:] if names[:1] == ['self'] else names
    return {n: i for i, n in enumerate(names)} | {a.arg: None for a in function.args.kwonlyargs}

def _part(call, at, source):
    "A part of an error as (argument of the function around it) or its texts"
    if isinstance(at, list): return at
    node, function = _argument(call, at, source), source.holder.get(call)
    if node is None: return ['']
    if isinstance(node, ast.Name) and function is not None and node.id in (p := _parameters(function)):
        if not source.assigned(node.id, function): return (p[node.id], node.id)
    return texts(node, source)

def sites(sources):
    "Every place that makes an error, helper functions followed to their callers"
    first = {n: Maker(n, {p: (i, p) for p, i in USUAL.items()}) for n in KINDS}
    first |= {n: Maker(k, {p: (i, p) for p, i in zip(PARTS, at)}) for n, (k, *at) in MAKERS.items()}
    found, done, makers = list(of_tables(sources)), set(), first
    while makers:
        done |= makers.keys()
        later = {}
        for s in sources:
            for c in s.calls:
                m = makers.get(_called(c))
                if m is None and makers is first and _called(c) in PASSED_ON.get(s.name, {}):
                    found.append(Site(s.name, c.lineno, PASSED_ON[s.name][_called(c)], tuple(_part(c, (0, ''), s)),
                                      ('',), (GAP,)))
                if m is None and makers is first and _raised(c, s):
                    found += [Site(s.name, c.lineno, k, *(tuple(_part(c, (i, p), s)) for p, i in USUAL.items()))
                              for k in kinds_of(c, s)]
                if m is None or (m.module and not s.sees(_called(c), m.module)): continue
                made = {p: _part(c, at, s) for p, at in m.args.items()}
                if isinstance(made['what'], tuple):   # a helper: its callers say what is wrong
                    function = s.holder[c]
                    if function.name not in done: later[function.name] = Maker(m.kind, made, s.name)
                    continue
                lists = [v if isinstance(v, list) else [GAP] for v in made.values()]
                found.append(Site(s.name, c.lineno, m.kind, *(tuple(x.strip() for x in v) for v in lists)))
        makers = later
    return found


def _shared(what):
    "The texts by which an error is known"
    return [next((same for same, others in SAME.items() if re.fullmatch(others, t)), t) for t in what]

def said(texts): return [t for t in texts if re.search('[a-z]{2}', t)]

def grouped(found):
    "The entries: errors that say the same share a code, and those that only pass on another's have none"
    entries = []
    for o in found:
        what, named = said(o.what), said(o.why + o.fix)
        if not what and ({GAP, PASSED.get(o.module)} & {*o.what}
                         or not any(len(re.sub('[^a-z]', '', t)) > 12 for t in named)): continue
        case = {'in': o.module.replace('.', '/'), 'why': list(o.why), 'fix': list(o.fix)}
        e = dict(kind=o.kind, what=what or list(o.what), cases=[case])
        # a text without a word of its own is known by its reason and its fix
        key = _shared(what) or [f'{GAP} {t}' for t in named]
        for same in [f for f in entries if f['kind'] == o.kind and not f['key'].isdisjoint(key)]:
            entries.remove(same)
            e = dict(kind=o.kind, what=list(dict.fromkeys(same['what'] + e['what'])),
                     cases=same['cases'] + [c for c in e['cases'] if c not in same['cases']])
            key = {*same['key'], *key}
        entries.append(dict(e, key={*key}))
    return [{k: v for k, v in e.items() if k != 'key'} for e in entries]

def like(a, b):
    "How alike two entries are: a text that was reworded keeps its code"
    if a['kind'] != b['kind'] or not {c['in'] for c in a['cases']} & {c['in'] for c in b['cases']}: return 0
    return SequenceMatcher(None, ' / '.join(a['what']), ' / '.join(b['what']), autojunk=False).ratio()

def assigned(entries, old):
    "{code: entry}: known ones keep their code, reworded ones too, new ones get the next number, the rest are retired"
    key = lambda e: (e['kind'], *e['what'], *([] if said(e['what']) else said(
        [t for c in e['cases'][:1] for t in c['why'] + c['fix']])))
    of, table = {key(e): n for n, e in old.items()}, {}
    fresh = []
    for e in entries:
        if key(e) in of: table[of[key(e)]] = e
        else: fresh.append(e)
    gone = {n: e for n, e in old.items() if n not in table and not e.get('retired')}
    pairs = sorted(((like(e, g), i, n) for i, e in enumerate(fresh) for n, g in gone.items()), reverse=True)
    for ratio, i, n in pairs:
        if ratio > .6 and fresh[i] and n in gone: table[n], fresh[i] = fresh[i], None; del gone[n]
    last = defaultdict(int)
    for n in old: last[n[3]] = max(last[n[3]], int(n[4:]))
    for e in filter(None, fresh):
        letter = KINDS[e['kind']]
        last[letter] += 1
        table[f'AT-{letter}{last[letter]:03}'] = e
    for n, e in old.items():
        if n not in table: table[n] = {**e, 'retired': True}
        elif 'example' in e and fits(table[n], e['example']): table[n]['example'] = e['example']
    return dict(sorted(table.items()))

def fits(entry, example):
    "Whether an example is one of this text"
    return any(re.fullmatch('(.*: )?' + pattern(t), example['what'], re.S) for t in entry['what'])

def pattern(text): return '.*?'.join(map(re.escape, text.split(GAP)))

def dumped(table):
    "The file: one code a line"
    lines = [f'{json.dumps(n)}: {json.dumps(e, ensure_ascii=False)}' for n, e in table.items()]
    return '{\n' + ',\n'.join(lines) + '\n}\n'

def now(old):
    "The table as the package's source has it"
    read = [Source(m.removeprefix('aligntune.'), ast.parse(p.read_text(encoding='utf-8')))
            for m, p in modules().items()]
    CONSTANTS.update((n, v) for s in read for n, v in s.top.items() if isinstance(v, ast.Constant | ast.JoinedStr))
    return assigned(grouped(sites(read)), old)

def here(text):
    "A message without the folders of a lesson"
    last = lambda m: './output' if re.match('tmp|lessons', m[1]) else f'./{m[1]}'
    text = re.sub(r'(?<![\w:/])/tmp(?:/[\w.+-]+)*/([\w.+-]+)', last, text)
    return re.sub(r'(/[\w.+-]+){2,}/(?=[\w.])', './', text)

def examples(table, log):
    "The first short message of each code in a log of raised errors, one JSON list a line: class, what, where, why, fix"
    from aligntune.core import errors
    odd = re.compile(r'(?<![\w./])/\w+/|0x[0-9a-f]{6}|[^\x20-\x7e\n…]|\bme:|ZeroDiv|ipynb')
    for line in log.read_text(encoding='utf-8').splitlines():
        kind, *said_ = json.loads(line)[:5]
        kind = getattr(errors, dict(LeftOut='DataError', MissingFile='SpecError').get(kind, kind), None)
        code = kind(*said_).code if kind else ''
        parts = {k: here(v) for k, v in zip(('what', 'where', 'why', 'fix'), said_) if v}
        text = '\n'.join(parts.values())
        if code and 'example' not in table[code] and len(text) < 420 and not odd.search(text):
            if fits(table[code], parts): table[code]['example'] = parts

def record(log):
    "Append every error that this process makes to a log, as --examples reads it"
    from aligntune.core.errors import AligntuneError
    made = AligntuneError.__init__
    def noted(self, *args, **kwargs):
        made(self, *args, **kwargs)
        line = [type(self).__name__, self.what, self.where, self.why, self.fix]
        with open(log, 'a', encoding='utf-8') as f: f.write(json.dumps(line) + '\n')
    AligntuneError.__init__ = noted

def stale():
    "Pages whose saved output is not what the table says"
    from aligntune.core.error_codes import ERROR_KINDS
    from error_pages import errors_page
    results = {}
    for letter, kind in ERROR_KINDS.items():
        page = next((root/'nbs/errors').glob(f'*_{kind.page}.ipynb'), None)
        cells = json.loads(page.read_text(encoding='utf-8'))['cells'] if page else []
        shown = [''.join(o['data'].get('text/markdown', '')) for c in cells for o in c.get('outputs', [])
                 if 'data' in o]
        results[kind.page] = [] if errors_page(letter) in shown else [
            f'nbs/errors: the page of {kind.name} is stale; python tools/nb.py {page and page.relative_to(root)}']
    return results

if __name__ == '__main__':
    old = json.loads(FILE.read_text(encoding='utf-8')) if FILE.exists() else {}
    table = now(old)
    if '--examples' in sys.argv: examples(table, Path(sys.argv[sys.argv.index('--examples') + 1]))
    if {'--write', '--examples'} & {*sys.argv}:
        FILE.write_text(dumped(table), encoding='utf-8')
        sys.exit()
    changed = [n for n in table if table[n] != old.get(n)]
    results = {n: [f'{n}: {table[n]["what"][0]}: its line in {FILE.relative_to(root)} is not what the source says; '
                   'make export'] if n in changed else [] for n in table}
    report(results | ({} if changed else stale()))
