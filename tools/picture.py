"""The README's picture: tokens, plan and curves of a real tiny run, as one SVG for light pages and one for dark.

    python tools/picture.py            trains offline on a CPU (a minute), writes nbs/styles/run_*.svg
    python tools/picture.py --badges   writes the badges, from settings.ini and setup.py"""
import configparser, re, sys, tempfile
from html import escape
from common import root

WIDTH, HEIGHT, GAP = 960, 302, 12
COLUMNS = (238, 378, 318)   # tokens, plan, curves
LIGHT = dict(page='#ffffff', card='#f6f8fa', line='#d0d7de', ink='#1f2328', pale='#6e7781', good='#1a7f37',
             trained='#aceebb', masked='#eaeef2')
DARK = dict(page='#0d1117', card='#161b22', line='#30363d', ink='#e6edf3', pale='#8b949e', good='#3fb950',
            trained='#1a5c2e', masked='#262c36')
PLAN = ('backend', 'device', 'precision', 'steps', 'checkpointing', 'rows', 'output layer', 'data', 'memory')

def train(folder):
    "A chat model of 94,000 weights that learns to sort four digits: its trainer and its result"
    from aligntune import create_sft_trainer
    from aligntune.algorithms.tasks import sorting
    from aligntune.data.tiny import tiny_model, tiny_tokenizer
    tok = tiny_tokenizer('chatml', context=96)
    tiny_model('qwen3', tok, hidden=64, layers=2, tie_word_embeddings=True).save_pretrained(f'{folder}/model')
    tok.save_pretrained(f'{folder}/model')
    chat = lambda r: dict(messages=[dict(role='user', content=f"Sort {r['prompt'][:-1]}"),
                                    dict(role='assistant', content=r['answer'])])
    trainer = create_sft_trainer(
        f'{folder}/model', [chat(r) for r in sorting(2000)], eval_dataset=[chat(r) for r in sorting(200, test=True)],
        max_steps=150, batch_size=64, learning_rate=3e-3, eval_steps=15, logging_steps=2,
        output_dir=f'{folder}/run', cache_dir=f'{folder}/rows', save_strategy='no', progress='none')
    return trainer, trainer.train()

def text(x, y, words, fill, size=12, mono=False, weight=400, width=None):
    "A line of text; monospaced ones take the given width, whatever the font of the reader"
    fixed = f' textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs"' if width else ''
    font = 'ui-monospace,SFMono-Regular,Menlo,Consolas,monospace' if mono else 'system-ui,sans-serif'
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-family="{font}" font-size="{size}" font-weight="{weight}" '
            f'fill="{fill}" xml:space="preserve"{fixed}>{escape(words)}</text>')

def card(x, width, title, about, c):
    "The frame of a column and its heading"
    return (f'<rect x="{x}" y="1" width="{width}" height="{HEIGHT - 2}" rx="8" '
            f'fill="{c["card"]}" stroke="{c["line"]}"/>'
            + text(x + 14, 25, title, c['ink'], 13, True, 600) + text(x + 14, 43, about, c['pale'], 12))

def lines_of(row):
    "Stretches of one state, broken where the text breaks"
    lines = [[]]
    for p in row.pieces:
        for i, part in enumerate(p.text.split('\n')):
            shown = part + '↵' if i < p.text.count('\n') else part
            if shown and lines[-1] and lines[-1][-1][1] == p.state: lines[-1][-1][0] += shown
            elif shown: lines[-1].append([shown, p.state])
            if i < p.text.count('\n'): lines.append([])
    return [o for o in lines if o]

def tokens(x, width, preview, c):
    "The preview: trained tokens on green"
    out, y, char = [card(x, width, 'trainer.preview()', 'tokens that are trained or masked', c)], 66, 7.2
    for row in preview.rows:
        out.append(text(x + 14, y, row.title, c['pale'], 11)); y += 17
        for line in lines_of(row):
            at = x + 14
            for words, state in line:
                wide = len(words)*char
                out.append(f'<rect x="{at:.1f}" y="{y - 12}" width="{wide:.1f}" height="16" fill="{c[state]}"/>'
                           + text(at, y, words, c['ink'] if state == 'trained' else c['pale'], 12, True, width=wide))
                at += wide
            y += 19
        y += 6
    for at, state in ((0, 'trained'), (86, 'masked')):
        out.append(f'<rect x="{x + 14 + at}" y="{HEIGHT - 25}" width="12" height="12" rx="2" fill="{c[state]}"/>'
                   + text(x + 32 + at, HEIGHT - 15, state, c['pale'], 11))
    return ''.join(out)

def plan(x, width, explained, c):
    "Lines of the plan, each with its reason"
    found = {l[:22].strip(): l[22:].strip() for l in explained.splitlines() if not l.startswith(' ')}
    out, y = [card(x, width, 'trainer.plan', 'before weights load: each choice and its reason', c)], 68
    for name in PLAN:
        short = found[name] if len(found[name]) <= 46 else found[name][:45].rsplit(' ', 1)[0] + ' …'
        out.append(text(x + 14, y, name, c['pale'], 11.5) + text(x + 104, y, short, c['ink'], 11.5)); y += 25
    return ''.join(out)

def curves(x, width, trainer, result, c):
    "The loss, as the panel draws it while the run trains"
    from aligntune.show.curves import CHARTS, chart_svg, read_run
    loss = chart_svg([read_run(result)], next(k for k in CHARTS if k.name == 'loss'), ink=c['pale'])
    answer = trainer.predict([dict(role='user', content='Sort 5290')])
    answer = answer if isinstance(answer, str) else answer[0]
    placed = loss.replace('<svg ', f'<svg x="{x + 8}" y="52" width="{width - 16}" height="200" ', 1)
    return (card(x, width, 'trainer.train()', 'live curves; here 150 steps on one CPU core', c) + placed
            + text(x + 14, HEIGHT - 34, 'predict("Sort 5290")', c['pale'], 12, True)
            + text(x + 14, HEIGHT - 15, f'→ {answer.strip()}', c['good'], 13, True, 600))

def picture(trainer, result, preview, c):
    "All three columns"
    at = [1, 1 + COLUMNS[0] + GAP, 1 + COLUMNS[0] + COLUMNS[1] + 2*GAP]
    body = (tokens(at[0], COLUMNS[0], preview, c) + plan(at[1], COLUMNS[1], trainer.plan.explain(), c)
            + curves(at[2], COLUMNS[2], trainer, result, c))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'role="img" aria-label="Three panels: tokens of two rows, trained ones on green; the plan with its '
            f'reasons; the falling loss of the run">{body}</svg>\n')

def badges():
    "{file: SVG} of the badges: licence, versions of Python and documentation, as the packaging files have them"
    read = configparser.ConfigParser(delimiters=['='])
    read.read(root/'settings.ini')
    pythons = re.findall(r'Python :: (3\.\d+)', (root/'setup.py').read_text())
    licence = re.search(r"license='([^']+)'", (root/'setup.py').read_text())[1]
    host = read['DEFAULT']['doc_host'].removeprefix('https://')
    made = {}
    for left, right in dict(license=licence, python=' | '.join(pythons), docs=host).items():
        a, b = (round(len(t)*6.6) + 14 for t in (left, right))
        made[f'badge_{left}.svg'] = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{a + b}" height="20" role="img" '
            f'aria-label="{left}: {right}">'
            f'<rect width="{a}" height="20" rx="3" fill="#555d66"/>'
            f'<rect x="{a - 3}" width="{b + 3}" height="20" rx="3" fill="#1f5f8b"/>'
            f'<rect x="{a - 3}" width="6" height="20" fill="#1f5f8b"/>'
            + text(7, 14, left, '#ffffff', 11, width=a - 14)
            + text(a + 7, 14, right, '#ffffff', 11, width=b - 14) + '</svg>\n')
    return made

if __name__ == '__main__':
    for name, svg in badges().items(): (root/f'nbs/styles/{name}').write_text(svg)
    if '--badges' in sys.argv: sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        trainer, result = train(folder)
        preview = trainer.preview(2)
        for name, colours in (('light', LIGHT), ('dark', DARK)):
            f = root/f'nbs/styles/run_{name}.svg'
            f.write_text(picture(trainer, result, preview, colours))
            print(f'{f.relative_to(root)}: {f.stat().st_size:,} bytes; loss {result["final_loss"]:.3f}')
