"Nothing is unpickled: no part of the package reads a file or a message that could name code to run."
import ast
from common import modules, report, root

MODULES = '''pickle cPickle _pickle dill cloudpickle joblib shelve marshal jsonpickle multiprocessing.connection
    multiprocessing.managers'''.split()
CALLS = '''load read_pickle unsafe_load full_load load_all unsafe_load_all all_gather_object gather_object
    broadcast_object_list scatter_object_list recv_object_list'''.split()   # the last name of a call
OWNERS = dict(load=('torch', 'np', 'numpy', 'yaml'), load_all=('yaml',))   # whose load is meant: not json's
SAFE = {'torch.load': ('weights_only', True), 'np.load': ('allow_pickle', False), 'numpy.load': ('allow_pickle', False)}
UNSAFE = (('weights_only', False), ('allow_pickle', True))
ALLOWED = {   # (module, what): why nobody else can write what is read there
    ('aligntune.process.objects', 'dill'): 'a pipe between a process and the child that it started itself',
    ('aligntune.backends.worker', 'pickle'): 'an Unpickler that looks up a list of names and no other',
    ('aligntune.run.checkpoint', 'pickle'): 'the name of the error that torch.load(weights_only=True) raises',
    ('aligntune.algorithms.dapo', 'gather_object'): 'between the processes of one training',
    ('aligntune.process.ranks', 'all_gather_object'): 'between the processes of one training',
}

def dotted(o):
    "The dotted name of an expression, as far as it has one"
    return f'{dotted(o.value)}.{o.attr}' if isinstance(o, ast.Attribute) else o.id if isinstance(o, ast.Name) else ''

def safe_loaders(tree):
    "The loaders of YAML that make plain values only"
    own = (o for o in ast.walk(tree) if isinstance(o, ast.ClassDef))
    safe = {o.name for o in own if any(dotted(b).endswith('SafeLoader') for b in o.bases)}
    return {'SafeLoader', 'CSafeLoader'} | safe

def unsafe(call, loaders):
    "What a call may unpickle, empty where it can't"
    name = dotted(call.func)
    owner, _, last = name.rpartition('.')
    if last not in CALLS or last in OWNERS and owner not in OWNERS[last]: return ''
    given = {k.arg: getattr(k.value, 'value', None) for k in call.keywords}
    if name in SAFE and given.get(SAFE[name][0]) is SAFE[name][1]: return ''
    named = {dotted(a).rpartition('.')[2] for a in [*call.args[1:], *(k.value for k in call.keywords)]}
    if owner == 'yaml' and named & loaders: return ''
    return name if last in OWNERS else last

def imported(o):
    "The dotted names that a statement imports"
    if isinstance(o, ast.Import): return [a.name for a in o.names]
    return [o.module or '', *(f'{o.module}.{a.name}' for a in o.names)] if isinstance(o, ast.ImportFrom) else []

def found(path):
    "(line, what) of everything that may unpickle"
    tree = ast.parse(path.read_text())
    loaders = safe_loaders(tree)
    for o in ast.walk(tree):
        names = imported(o)
        yield from ((o.lineno, m) for m in MODULES if any(n == m or n.startswith(m + '.') for n in names))
        yield from ((o.lineno, n) for n in names if n in ('torch.load', 'numpy.load', 'yaml.load'))
        if isinstance(o, ast.Call) and (what := unsafe(o, loaders)): yield o.lineno, what
        if isinstance(o, ast.keyword) and (o.arg, getattr(o.value, 'value', None)) in UNSAFE:
            yield o.value.lineno, f'{o.arg}={o.value.value}'

def problems(module, path):
    "What is found in a module and not allowed, and what is allowed and not found"
    seen, why = sorted(set(found(path))), 'can run code that a file names'
    bad = [f'{path.relative_to(root)}:{line}: {what} {why}; safetensors, JSON, or torch.load(..., weights_only=True)'
           for line, what in seen if (module, what) not in ALLOWED]
    idle = {w for m, w in ALLOWED if m == module} - {w for _, w in seen}
    return bad + [f'tools/check_pickles.py: {what} is allowed in {module} and not there' for what in sorted(idle)]

if __name__ == '__main__':
    report({m: problems(m, p) for m, p in modules().items()})
