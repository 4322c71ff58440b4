"Nothing is unpickled: no part of the package reads a file or a message that could name code to run."
import ast
from common import modules, report, root

MODULES = 'pickle cPickle _pickle dill cloudpickle joblib shelve marshal jsonpickle multiprocessing.connection multiprocessing.managers'.split()
CALLS = ('load read_pickle unsafe_load full_load load_all unsafe_load_all all_gather_object gather_object broadcast_object_list scatter_object_list '
         'recv_object_list').split()   # the last name of a call
SAFE = {'torch.load': ('weights_only', True), 'np.load': ('allow_pickle', False), 'numpy.load': ('allow_pickle', False)}
OWNERS = dict(load=('torch', 'np', 'numpy', 'yaml'), load_all=('yaml',))   # whose `load` is meant: json.load and others are none of ours
ALLOWED = {   # (module, what): why nobody else can write what is read there
    ('aligntune.backends.isolation', 'dill'): 'a pipe between a process and the child that it started itself',
    ('aligntune.backends.worker', 'pickle'): 'an Unpickler that looks up a list of names and no other',
    ('aligntune.run.checkpoint', 'pickle'): 'the name of the error that torch.load(weights_only=True) raises',
    ('aligntune.run.checkpoint', 'all_gather_object'): 'between the processes of one training',
    ('aligntune.algorithms.dapo', 'gather_object'): 'between the processes of one training',
}

def dotted(o):
    "The dotted name of an expression, as far as it has one"
    return f'{dotted(o.value)}.{o.attr}' if isinstance(o, ast.Attribute) else o.id if isinstance(o, ast.Name) else ''

def unsafe(call, loaders):
    "What a call may unpickle, empty where it can't"
    name = dotted(call.func)
    owner, _, last = name.rpartition('.')
    if last not in CALLS or last in OWNERS and owner not in OWNERS[last]: return ''
    if owner == 'yaml' and any(dotted(a).rpartition('.')[2] in loaders for a in [*call.args[1:], *(k.value for k in call.keywords)]): return ''
    given = {k.arg: getattr(k.value, 'value', None) for k in call.keywords}
    if name in SAFE and given.get(SAFE[name][0]) is SAFE[name][1]: return ''
    return name if last in OWNERS else last

def found(path):
    "(line, what) of everything that may unpickle"
    tree = ast.parse(path.read_text())
    loaders = {'SafeLoader', 'CSafeLoader'} | {o.name for o in ast.walk(tree) if isinstance(o, ast.ClassDef) and any(dotted(b).endswith('SafeLoader') for b in o.bases)}
    for o in ast.walk(tree):
        names = [a.name for a in o.names] if isinstance(o, ast.Import) else [o.module or '', *(f'{o.module}.{a.name}' for a in o.names)] if isinstance(o, ast.ImportFrom) else []
        yield from ((o.lineno, m) for m in MODULES if any(n == m or n.startswith(m + '.') for n in names))
        if isinstance(o, ast.ImportFrom) and o.module in ('torch', 'yaml', 'numpy'): yield from ((o.lineno, f'{o.module}.load') for a in o.names if a.name == 'load')
        if isinstance(o, ast.Call) and (what := unsafe(o, loaders)): yield o.lineno, what
        if isinstance(o, ast.keyword) and (o.arg, getattr(o.value, 'value', None)) in (('weights_only', False), ('allow_pickle', True)): yield o.value.lineno, f'{o.arg}={o.value.value}'

def problems(module, path):
    "What is found in a module and not allowed, and what is allowed and not found"
    seen = sorted(set(found(path)))
    bad = [f'{path.relative_to(root)}:{line}: {what} can run code that a file names; safetensors, JSON, or torch.load(..., weights_only=True)' for line, what in seen if (module, what) not in ALLOWED]
    idle = [f'tools/check_pickles.py: {what} is allowed in {m} and not there' for m, what in ALLOWED if m == module and what not in {w for _, w in seen}]
    return bad + idle

if __name__ == '__main__':
    report({m: problems(m, p) for m, p in modules().items()})
