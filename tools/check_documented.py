"Every public function, class and method has its sentence, and every parameter of a public function its type."
import ast
from common import modules, report, root

DEFS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

def public(tree):
    "Public definitions of a module, and public methods of its public classes: (name, node)"
    for o in tree.body:
        if not isinstance(o, DEFS) or o.name.startswith('_'): continue
        yield o.name, o
        if isinstance(o, ast.ClassDef):
            yield from ((f'{o.name}.{m.name}', m) for m in o.body if isinstance(m, DEFS) and not m.name.startswith('_'))

def undocumented(path):
    "Problems of one module"
    where = path.relative_to(root)
    for name, o in public(ast.parse(path.read_text())):
        overload = any(getattr(d, 'id', getattr(d, 'attr', '')) in ('overload', 'setter') for d in o.decorator_list)
        if not ast.get_docstring(o) and not overload: yield f'{where}:{o.lineno}: {name} has no docstring'
        # methods may override untyped ones of a library
        if isinstance(o, ast.ClassDef) or overload or '.' in name: continue
        args = [a for a in [*o.args.posonlyargs, *o.args.args, *o.args.kwonlyargs]
                if a.arg not in ('self', 'cls') and not a.arg.startswith('_')]
        bare = [a.arg for a in args if a.annotation is None]
        if bare: yield f'{where}:{o.lineno}: {name}: no type for {", ".join(bare)}'

report({m: list(undocumented(p)) for m, p in modules().items()})
