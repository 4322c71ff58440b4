"""What a processed notebook goes through before it becomes a page, in the offline rendering and in Quarto's alike:
signatures with one parameter a line, code of at most 100 columns, and assertions folded under "Proof"."""
import ast, functools, inspect, io, re, textwrap, tokenize
from fastcore.docments import DocmentText
from nbdev.showdoc import BasicMarkdownRenderer

WIDTH = 100   # columns of code on a page; the source has 120
DRAWN = 'Figure drawn by the code above it'   # for those who don't see it, where a cell gives no text of its own
EMPTY = inspect.Parameter.empty

def type_name(hint):
    "A type as one writes it, without the modules"
    text = hint if isinstance(hint, str) else inspect.formatannotation(hint)
    return re.sub(r'\b(?:\w+\.)+(?=\w)', '', text.replace('NoneType', 'None'))

def default_name(value):
    "A default as one writes it; three dots for an object that has no short form"
    name = getattr(value, '__name__', None)
    text = name if isinstance(name, str) else repr(value)
    return '...' if len(text) > 60 or ' at 0x' in text else text

def commented(line, doc, pad='    '):
    "A line with its comment beside it, or above it where both are too long"
    if not doc: return [pad + line]
    doc = ' '.join(doc.split())
    if len(pad + line + doc) + 4 <= WIDTH: return [f'{pad}{line}  # {doc}']
    return [f'{pad}# {l}' for l in textwrap.wrap(doc, WIDTH - len(pad) - 2)] + [pad + line]

class Signature(DocmentText):
    "The signature of a function or class: one parameter a line, with type, default and meaning"
    def parameter(self, name, p):
        "A parameter as one writes it"
        star = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}.get(p.get('kind'), '')
        kind, value = p.get('anno', EMPTY), p.get('default', EMPTY)
        hint = '' if kind in (EMPTY, None) else ': ' + type_name(kind)
        equals = ' = ' if hint else '='
        return star + name + hint + ('' if value is EMPTY else equals + default_name(value))

    def lines(self):
        "The parameters, one or more lines each; names that begin with _ are for our own calls"
        out, named = [], False
        for name, p in self.dm.items():
            if name == 'return' or name.startswith('_'): continue
            if p.get('kind') == inspect.Parameter.VAR_POSITIONAL: named = True
            if p.get('kind') == inspect.Parameter.KEYWORD_ONLY and not named: out.append('    *,'); named = True
            out += commented(self.parameter(name, p) + ',', p.get('docment'))
        return out

    def __str__(self):
        if not callable(self.obj): return super().__str__()
        word = 'class' if inspect.isclass(self.obj) else 'async def' if inspect.iscoroutinefunction(self.obj) else 'def'
        back = self.dm.get('return') or {}
        gives = '' if word == 'class' or back.get('anno', EMPTY) in (EMPTY, None) else f" -> {type_name(back['anno'])}"
        says = f"  # {back['docment']}" if back.get('docment') else ''
        name, lines = getattr(self.obj, '__name__', type(self.obj).__name__), self.lines()
        short = f"{word} {name}({' '.join(l.strip() for l in lines).rstrip(',')}){gives}{says}"
        if len(lines) < 2 and '#' not in short and len(short) <= WIDTH: return short
        return '\n'.join([f'{word} {name}(', *lines, f'){gives}{says}'])
    __repr__ = __str__

class Rendered(BasicMarkdownRenderer):
    "nbdev's documentation of a symbol, with our signature"
    def __init__(self, sym, name=None, title_level=3):
        super().__init__(sym, name=name, title_level=title_level)
        if self.sym is sym: self.dm.__class__ = Signature   # the source is read already
        else: self.dm = Signature(sym, docstring=False)

# --- code of at most WIDTH columns

def parsed(code):
    "The tree of a cell, or None where it is not plain Python"
    try: return ast.parse(code)
    except SyntaxError: return None

def tokens_of(code):
    try: return list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, IndentationError): return []

COMPOUND = set('for if elif else while with def class try except finally async'.split())
BEFORE = set('and or if else for + | == in'.split())
OPEN, CLOSE = '([{', ')]}'

def places(tokens, row):
    "Where a line can be broken: (depth, rank, column of what moves down, indentation of what moves down)"
    stack, inside, previous, found = [], 0, None, []
    first = next((t for t in tokens if t.start[0] == row and t.type not in (tokenize.INDENT, tokenize.DEDENT)), None)
    if first is None: return []
    margin = first.start[1]
    for i, t in enumerate(tokens):
        kind = tokenize.tok_name[t.type]
        if t.start[0] > row: break
        here = t.start[0] == row and not inside and kind not in ('NL', 'NEWLINE', 'COMMENT')
        if here and previous is not None and previous.end[0] == row and previous is not t:
            if stack:
                indent = stack[-1][0] + 4 if stack[-1][1] is None or stack[-1][1] > 64 else stack[-1][1]
                if previous.string == ',': found.append((len(stack), 0, t.start[1], indent))
                elif t.string in BEFORE and t.type in (tokenize.NAME, tokenize.OP):
                    found.append((len(stack), 1, t.start[1], indent))
                elif kind == 'STRING' and tokenize.tok_name[previous.type] == 'STRING':
                    found.append((len(stack), 0, t.start[1], indent))
                elif previous.string in OPEN: found.append((len(stack) + 1, 2, t.start[1], stack[-1][0] + 4))
            elif previous.string == ':' and first.string in COMPOUND: found.append((0, 0, t.start[1], margin + 4))
            elif previous.string == ';' and first.string not in COMPOUND: found.append((0, 0, t.start[1], margin))
        if kind == 'FSTRING_START': inside += 1
        elif kind == 'FSTRING_END': inside -= 1
        elif not inside and t.type == tokenize.OP and t.string in OPEN:
            after = tokens[i+1] if i + 1 < len(tokens) else None
            line = t.line[:len(t.line) - len(t.line.lstrip())]
            stack.append((len(line), after.start[1] if after and after.start[0] == t.start[0]
                          and tokenize.tok_name[after.type] not in ('NL', 'COMMENT') else None))
        elif not inside and t.type == tokenize.OP and t.string in CLOSE and stack: stack.pop()
        if kind not in ('INDENT', 'DEDENT'): previous = t
    return found

def split_strings(tokens, row, line):
    "Ways to write a line whose long string, in brackets, becomes two"
    depth = 0
    for t in tokens:
        if t.type == tokenize.OP and t.string in OPEN: depth += 1
        if t.type == tokenize.OP and t.string in CLOSE: depth -= 1
        if t.type != tokenize.STRING or t.start[0] != row or t.end[0] != row or t.end[1] <= WIDTH or not depth: continue
        start = re.match(r'(\w*)([\'"])(?!\2\2)', t.string)
        for m in reversed(list(re.finditer(' ', line[:WIDTH-1]))) if start else ():
            if m.end() < t.start[1] + 10: break
            yield [line[:m.end()] + start[2], ' '*min(t.start[1], 56) + start[0] + line[m.end():]]

def ways(code, row):
    "Ways to write a line that is too long as several, the best first"
    line = code.split('\n')[row - 1]
    tokens = tokens_of(code)
    pad = line[:len(line) - len(line.lstrip())]
    comment = next((t for t in tokens if t.type == tokenize.COMMENT and t.start[0] == row), None)
    if comment:
        words = comment.string.lstrip('#').strip()
        above = [f'{pad}# {l}' for l in textwrap.wrap(words, WIDTH - len(pad) - 2, break_long_words=False)]
        rest = line[:comment.start[1]].rstrip()
        yield above + ([rest] if rest else [])
    if m := re.fullmatch(r'(\s*from \S+ import )([^()#]+)', line):
        yield [m[1] + '(', *textwrap.wrap(m[2], WIDTH - len(pad) - 5, initial_indent=pad + '    ',
                                         subsequent_indent=pad + '    ')[:-1],
               textwrap.wrap(m[2], WIDTH - len(pad) - 5, initial_indent=pad + '    ',
                             subsequent_indent=pad + '    ')[-1] + ')']
    fits = [p for p in places(tokens, row) if len(pad) + 12 < p[2] <= WIDTH + 1 and p[3] < p[2]]
    good = sorted(fits, key=lambda p: (p[0] + 2*(p[2] < len(pad) + 40), p[1], -p[2]))
    text = list(split_strings(tokens, row, line))
    for _, _, column, indent in good[:3] if not text else good[:1]:
        if not text or good[0][2] > WIDTH*.5: yield [line[:column].rstrip(), ' '*indent + line[column:]]
    yield from text[:8]
    for _, _, column, indent in good: yield [line[:column].rstrip(), ' '*indent + line[column:]]

def pieces(code, tree):
    "The text of a program, statement by statement, with the comments above each"
    lines, cuts = code.split('\n'), [0]
    for a, b in zip(tree.body, tree.body[1:]):
        first = min([b.lineno, *(d.lineno for d in getattr(b, 'decorator_list', []))])
        if first > a.end_lineno: cuts.append(a.end_lineno)
    return ['\n'.join(lines[i:j]) for i, j in zip(cuts, [*cuts[1:], len(lines)])]

def narrow(code):
    "The same program in lines of at most WIDTH columns, as far as brackets allow"
    if max(map(len, code.split('\n'))) <= WIDTH or (tree := parsed(code)) is None: return code
    return '\n'.join(map(narrow_statement, pieces(code, tree)))

@functools.cache
def narrow_statement(code):
    "The same for one statement, which is read anew for each way that is tried"
    if max(map(len, code.split('\n'))) <= WIDTH: return code
    same, given_up = ast.dump(parsed(code)), set()
    for _ in range(400):
        lines = code.split('\n')
        row = next((i for i, l in enumerate(lines, 1) if len(l) > WIDTH and l not in given_up), None)
        if row is None: break
        trials = ('\n'.join([*lines[:row-1], *new, *lines[row:]]) for new in ways(code, row))
        better = next((t for t in trials if (p := parsed(t)) and ast.dump(p) == same), None)
        if better is None: given_up.add(lines[row-1])
        else: code = better
    return code

def narrow_shell(text):
    "The same for a command of the shell: it goes on in the next line"
    out = []
    for line in text.split('\n'):
        if len(line) > WIDTH and (m := re.fullmatch(r'([^#\'"]*\S)\s+(#.*)', line)):   # its comment stands above it
            out.append(m[2]); line = m[1]
        while len(line) > WIDTH and not line.lstrip().startswith('#') and "'" not in line and '"' not in line:
            at = line.rfind(' ', 20, WIDTH - 1)
            if at < 0: break
            out.append(line[:at] + ' \\'); line = '    ' + line[at+1:]
        out.append(line)
    return '\n'.join(out)

# --- proofs

def asserts(o):
    "Whether a statement only asserts"
    if isinstance(o, ast.Assert): return True
    if isinstance(o, (ast.For, ast.With)): return bool(o.body) and all(map(asserts, o.body))
    if not isinstance(o, ast.Expr) or not isinstance(o.value, ast.Call): return False
    name = getattr(o.value.func, 'attr', getattr(o.value.func, 'id', ''))
    return bool(re.fullmatch(r'test(_\w+)?|assert_\w+', name))

def names(tree, kind):
    "The names that a tree reads, or writes"
    found = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}
    if kind is ast.Store:
        found |= {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    return found

def split_proof(code, read_later, shows, lesson):
    """(use, proof) of a cell: its last statements that only assert; all of it where it only asserts, or, in a lesson of
    the package, where nothing is shown and no name is made that a later cell reads; the first ones where one
    expression follows"""
    tree = parsed(code)
    if tree is None or not any(asserts(o) for o in ast.walk(tree) if isinstance(o, ast.stmt)): return code, ''
    body, lines = tree.body, code.split('\n')
    if all(map(asserts, body)): return '', code
    if lesson and not shows and not names(tree, ast.Store) & read_later: return '', code
    first = next(i for i, o in enumerate(body) if not asserts(o))
    n = next(i for i, o in enumerate(reversed(body)) if not asserts(o))
    last = len(body) - n
    if first and last - first > 1: first = 0
    if first and not isinstance(body[first], ast.Expr): first = 0
    starts = lambda i: _above(lines, body[i].lineno - 1) if i < len(body) else len(lines)
    cut = starts(first), starts(last)
    if any(0 < i < len(body) and body[i-1].end_lineno >= body[i].lineno for i in (first, last)): return code, ''
    join = lambda *parts: '\n'.join(l for p in parts for l in p).strip('\n')
    use, proof = join(lines[cut[0]:cut[1]]), join(lines[:cut[0]], lines[cut[1]:])
    # a line of a text may look like a comment above the next statement
    return (use, proof) if parsed(use) and parsed(proof) else (code, '')

def _above(lines, at):
    "The line at which the comments above a line begin"
    while at and re.match(r'\s*#', lines[at-1]): at -= 1
    return at

def fenced(code, language='python'):
    fence = '`'*max(3, *(len(m) + 1 for m in re.findall(r'`{3,}', code)), 3)
    return f'{fence} {language}\n{code}\n{fence}'

def proof(code, is_open):
    "Assertions under a line that opens; open where they are short and the only use that a section shows"
    tree = parsed(code)
    calls = [n for o in tree.body for n in ast.walk(o) if isinstance(n, (ast.Assert, ast.Expr)) and asserts(n)]
    n = len(calls)
    state = ' open' if is_open else ''
    return (f'<details class="proof"{state}><summary>Proof: {n} assertion{"s" if n != 1 else ""}</summary>\n\n'
            f'{fenced(code)}\n\n</details>')

def directives(source):
    "(the lines of directives, the code) of a cell"
    lines = source.splitlines()
    told, code = [l for l in lines if l.startswith('#|')], [l for l in lines if not l.startswith('#|')]
    return '\n'.join(told), '\n'.join(code).strip()

def shown(cell):
    "Whether the code of a cell stands on the page"
    told, code = directives(cell.source)
    hidden = re.search(r'include:\s*false|echo:\s*false', told)
    return cell.cell_type == 'code' and bool(code) and not hidden

def shape(nb, cell_of, proofs=True, lesson=True):
    "Reshape a processed notebook in place; `cell_of(text)` makes a markdown cell, `lesson`: of a module, not a guide"
    read_later, later = {}, set()
    for c in reversed([c for c in nb.cells if c.get('source') and shown(c)]):
        read_later[id(c)] = set(later)
        tree = parsed(directives(c.source)[1])
        later |= names(tree, ast.Load) if tree else set()
    out, used = [], True   # used: the section of a symbol has shown its use
    for c in nb.cells:
        if id(c) not in read_later:
            if 'show_doc(' in (c.get('source') or ''): used = False
            if c.cell_type == 'markdown' and c.get('source'): c.source = narrow_fences(c.source)
            out.append(c); continue
        told, code = directives(c.source)
        if (c.get('metadata') or {}).get('language', 'python') != 'python': out.append(c); continue
        outputs = bool(c.get('outputs'))
        use, tail = split_proof(code, read_later[id(c)], outputs, lesson) if proofs else (code, '')
        if use or outputs:
            drawn = 'fig-alt' not in told and any('image/png' in o.get('data', {}) for o in c.get('outputs', []))
            told = [told, '' if use else '#| echo: false', f'#| fig-alt: "{DRAWN}"' if drawn else '']
            c.source = '\n'.join(filter(None, [*told, narrow(use or code)]))
            out.append(c)
        if tail: out.append(cell_of(proof(narrow(tail), not (used or use or outputs) and tail.count('\n') < 8)))
        used = True
    nb.cells = out

def narrow_fences(text):
    "Fenced code in prose, as narrow as its language allows"
    def mend(m):
        by = dict(python=narrow, py=narrow, bash=narrow_shell, sh=narrow_shell, shell=narrow_shell)
        return m[1] + m[2] + m[3] + by.get(m[2].strip('{}. '), lambda t: t)(m[4]) + m[5]
    return re.sub(r'(?ms)^(```+[ ]*)([\w{.}]*)(\n)(.*?)(\n```+[ ]*)$', mend, text)
