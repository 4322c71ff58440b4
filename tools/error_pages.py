"""The pages of the error codes in Markdown: the notebooks of nbs/errors show them, tools/error_codes.py checks them"""
import re
from aligntune.core.error_codes import error_codes, example_of, note_of, reasons, remedies_of

def inline(text):
    "A text in Markdown that shows its characters as they are"
    return re.sub(r'([\\`*_$<>\[\]#|~@])', r'\\\1', text).replace('\n', ' ')

def sentence(texts):
    "Texts as one sentence in Markdown"
    text = '; '.join(map(inline, texts))
    return text if text.endswith(('?', '.', '…', '!')) else f'{text}.'

def as_markdown(code):
    "The section of a code on its page"
    e = error_codes()[code]
    places = dict.fromkeys(c.module for c in e.cases)
    lines = [f'#### {code}: {inline(e.what[0])} {{#{code.lower()}}}', '']
    if len(e.what) > 1 and not e.retired: lines += ['Also: ' + '; '.join(f'*{inline(w)}*' for w in e.what[1:6]), '']
    if e.retired: return '\n'.join([*lines, 'No longer made; the code stays reserved.', ''])
    if note := note_of(code): lines += [note, '']
    if why := reasons(e): lines += ['**Why:** ' + sentence(why), '']
    if helps := remedies_of(e): lines += ['**What helps:** ' + sentence(helps), '']
    lines += ['Example:' if e.example else 'Example, made up:', '', '```', example_of(e), '```', '']
    return '\n'.join([*lines, 'Source: ' + ', '.join(f'[{p}](../{p}.html)' for p in places), ''])

ROOMS = dict(core='Settings and plan', data='Data', foreign='Configs of other projects', process='Processes',
             sandbox='Sandbox', rewards='Rewards', engine='Engine', algorithms='Algorithms',
             run='Runs and checkpoints', backends='Backends', share='Models for elsewhere', evaluate='Evaluation',
             show='Display', series='Sweeps and stages', monitor='Monitor', schedulers='Schedulers',
             bench='Bench', emulation='Emulation')

def errors_page(letter):
    "Every code of a kind, by its letter, in Markdown"
    groups = {}
    for n, e in error_codes().items():
        if n[3] != letter: continue
        room, in_room, _ = e.cases[0].module.partition('/')
        title = ROOMS.get(room if in_room else '', 'Public functions and command line')
        groups.setdefault('Common' if note_of(n) else 'Retired' if e.retired else title, []).append(n)
    order = ['Common', *ROOMS.values(), 'Public functions and command line', 'Retired']
    return '\n'.join(f'## {t}\n\n' + '\n'.join(map(as_markdown, groups[t])) for t in order if t in groups)
