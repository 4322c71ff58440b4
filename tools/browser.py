"""Widgets and the monitor in a real browser: matrix, form and training panel in JupyterLab, and `aligntune ui` with a
training that it watches and stops, driven through headless Chromium.

`python tools/browser.py` runs all; screenshots in both themes and two widths go to .cache/screens.
`python tools/browser.py pictures` makes those of the guide anew, from a training.
`python tools/browser.py walkthroughs [01 16 ...]` opens the walkthroughs in JupyterLab, runs all their cells in test
mode, and reports what a reader would stumble over; screenshots go to .cache/screens/walkthroughs.
"""
import contextlib, importlib.util, json, os, re, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.request
from pathlib import Path
from common import report, root

try: from playwright.sync_api import Error as PlaywrightError, expect, sync_playwright
except ImportError: sync_playwright = None   # said by `missing`

FLAGS = ('--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking '
         '--disable-component-update --disable-sync').split()
SHOTS = root/'.cache'/'screens'
WIDTHS, THEMES = (1280, 800), ('light', 'dark')

CELLS = dict(
    matrix='''
from aligntune.show.matrix import matrix
m = matrix()
m''',
    made='''
import json, os
from aligntune.data.tiny import save_tiny
model = save_tiny('model', hidden=32, layers=2, heads=4)
rows = [dict(prompt=f'What is {i}+{i}?', completion=str(2*i)) for i in range(64)]
with open('rows.jsonl', 'w') as f: f.writelines(json.dumps(r) + '\\n' for r in rows)
print('made')''',
    form='''
from aligntune.show.form import launcher
form = launcher()
form''',
    long='''
from aligntune import create_sft_trainer
trainer = create_sft_trainer(model_name='model', dataset_name='rows.jsonl', output_dir='long', max_steps=200_000,
                             logging_steps=20, learning_rate=1e-3)
trainer.train()''',
    after='''
from aligntune.run.checkpoint import whole_checkpoints
last = [p.name for p in whole_checkpoints('long')][-1] == f'checkpoint-{trainer.trainer.state.global_step}'
print('usable', last, type(trainer.predict('What is 1+1?', max_new_tokens=2)).__name__)''',
    on='''
trainer.train(resume_from_checkpoint=True)''',
    again='''
last = [p.name for p in whole_checkpoints('long')][-1] == f'checkpoint-{trainer.trainer.state.global_step}'
print('usable', last, type(trainer.predict('What is 1+1?', max_new_tokens=2)).__name__)''')
NAMES = list(CELLS)

def chromium():
    "The browser to drive: the system's, or Playwright's own; None where there is none"
    if found := shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome'):
        return found
    with sync_playwright() as p: own = p.chromium.executable_path
    return own if os.path.exists(own) else None

def missing():
    "What this machine lacks, in one line; empty if nothing"
    for package in ('playwright', 'jupyterlab'):
        if importlib.util.find_spec(package) is None: return f'{package} is not installed'
    return ('' if chromium()
            else 'there is no Chromium (Debian: apt-get install chromium; elsewhere: playwright install chromium)')

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def write_notebook(path):
    "The notebook that is opened"
    cell = lambda text: dict(cell_type='code', id=f'c{len(text)}', metadata={}, execution_count=None, outputs=[],
                             source=text.strip())
    path.write_text(json.dumps(dict(cells=[cell(c) for c in CELLS.values()], metadata=dict(kernelspec=dict(
        name='python3', display_name='Python 3 (ipykernel)', language='python')), nbformat=4, nbformat_minor=5)))

@contextlib.contextmanager
def lab(folder, token='t', **more):
    "A JupyterLab of its own, with settings, data and kernels apart from the user's; `more` goes into its environment"
    port, home = free_port(), Path(folder)/'.jupyter'
    for name, text in {'apputils-extension/notification': '{"fetchNews": "false", "checkForUpdates": false}',
                       'notebook-extension/tracker': '{"windowingMode": "none"}'}.items():
        f = home/'s'/'@jupyterlab'/f'{name}.jupyterlab-settings'
        f.parent.mkdir(parents=True, exist_ok=True); f.write_text(text)
    env = (os.environ
           | {k: str(home/v)
              for k, v in dict(JUPYTER_CONFIG_DIR='c', JUPYTER_DATA_DIR='d', JUPYTER_RUNTIME_DIR='r', IPYTHONDIR='i',
                               JUPYTERLAB_SETTINGS_DIR='s', JUPYTERLAB_WORKSPACES_DIR='w').items()})
    env |= dict(HF_HUB_OFFLINE='1', OMP_NUM_THREADS='1', ALIGNTUNE_CACHE=str(home/'cache'), PYTHONPATH=str(root),
                PATH=f'{Path(sys.executable).parent}:{env["PATH"]}') | more
    with open(home/'log', 'w') as log:
        p = subprocess.Popen([sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ip=127.0.0.1',
            f'--port={port}', '--ServerApp.port_retries=0', '--LabApp.expose_app_in_browser=True',
            f'--IdentityProvider.token={token}', f'--ServerApp.root_dir={folder}'], env=env, stdout=log,
                             stderr=subprocess.STDOUT, start_new_session=True)
    try:
        for _ in range(240):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f'http://127.0.0.1:{port}/api/status?token={token}', timeout=2).close(); break
            if p.poll() is not None: raise RuntimeError((home/'log').read_text())
            time.sleep(.25)
        yield f'http://127.0.0.1:{port}', token
    finally:
        os.killpg(p.pid, signal.SIGTERM)   # our own process group only
        p.wait(20)

class Notebook:
    "The open notebook: cells run by their shortcut, as a person runs them"
    def __init__(self, page): self.page = page
    def command(self, name, **args):
        return self.page.evaluate('([n, a]) => window.jupyterapp.commands.execute(n, a).then(() => null)', [name, args])
    def cell(self, name): return self.page.locator('.jp-Notebook .jp-Cell').nth(NAMES.index(name))
    def output(self, name): return self.cell(name).locator('.jp-Cell-outputArea')
    def start(self, name):
        prompt = self.cell(name).locator('.jp-InputPrompt').first
        before = prompt.inner_text()
        for _ in range(5):   # a page that is still building itself may lose a key
            self.cell(name).locator('.jp-InputArea-editor').click(); self.page.keyboard.press('Control+Enter')
            with contextlib.suppress(AssertionError): expect(prompt).not_to_have_text(before, timeout=2000); return
        raise AssertionError(f'the cell {name!r} does not run')
    def done(self, name, seconds=60):
        "Wait for the number beside a cell"
        expect(self.cell(name).locator('.jp-InputPrompt').first).to_have_text(re.compile(r'\[\d+\]'),
                                                                              timeout=1000*seconds)
    def run(self, name, seconds=60): self.start(name); self.done(name, seconds)

def shots(nb, name, where):
    "Screenshots of a cell's output in both themes and both widths"
    page = nb.page
    for theme in THEMES:
        nb.command('apputils:change-theme', theme=f'JupyterLab {theme.title()}')
        page.wait_for_selector(f'body[data-jp-theme-light="{str(theme == "light").lower()}"]', state='attached')
        yield from (f'{name}, {theme}: hard to read: {t}' for t in contrast(where))
        for width in WIDTHS:
            page.set_viewport_size(dict(width=width, height=1000))
            where.scroll_into_view_if_needed(); page.wait_for_timeout(250)
            box = where.bounding_box()
            page.screenshot(path=SHOTS/f'{name}-{width}-{theme}.png')
            if where.evaluate('e => e.scrollWidth - e.clientWidth') > 2:
                yield (f'{name} is cut at {width} pixels ({theme}): it needs {where.evaluate("e => e.scrollWidth")}, '
                       f'and has {box["width"]:.0f}')
    nb.command('apputils:change-theme', theme='JupyterLab Light'); page.set_viewport_size(dict(width=1280, height=1000))

def contrast(where):
    "Texts in `where` that stand out less than 4.5 : 1 from what is behind them"
    return where.evaluate('''root => {
        const linear = v => v <= .03928 ? v/12.92 : ((v + .055)/1.055)**2.4;
        const lum = c => {
            const f = c.slice(0, 3).map(v => linear(v/255));
            return .2126*f[0] + .7152*f[1] + .0722*f[2] };
        const rgba = s => {
            const m = s.match(/[\\d.]+/g).map(Number);
            return m.length < 4 ? [...m.slice(0, 3), 1] : m };
        const over = (top, under) => [0, 1, 2].map(i => top[3]*top[i] + (1 - top[3])*under[i]);
        const behind = e => {
            const all = [];
            for (let n = e; n; n = n.parentElement) {
                all.push(rgba(getComputedStyle(n).backgroundColor));
                if (all.at(-1)[3] === 1) break }
            return all.reverse().reduce((a, c) => over(c, a), [255, 255, 255]) };
        const bad = [];
        for (const e of root.querySelectorAll('*')) {
            const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join('');
            const apart = e.closest('[disabled], style, option, .lm-TabBar, .jp-RenderedText');
            if (!/[^■●]/.test(text) || !e.offsetParent || apart) continue;
            const b = behind(e), c = over(rgba(getComputedStyle(e).color), b);
            const [x, y] = [lum(b), lum(c)].sort((p, q) => q - p);
            if ((x + .05)/(y + .05) < 4.5) bad.push(`${text.slice(0, 40)} ${((x + .05)/(y + .05)).toFixed(1)}`);
        }
        return bad }''')

def matrix(nb):
    "Cells are clicked, lists chosen"
    nb.run('matrix')
    out = nb.output('matrix')
    expect(out).to_contain_text('GSPO on Unsloth: no'); expect(out).to_contain_text('any machine: TRL')
    out.locator('button.at-cell').nth(4).click()   # second row, first column
    expect(out).to_contain_text('DPO on TRL: yes')
    out.locator('select').nth(2).select_option('CPU'); out.locator('button.at-cell').nth(5).click()
    expect(out).to_contain_text('DPO on Unsloth: limited')
    expect(out.locator('button.at-cell.at-limited').first).to_be_visible()
    out.locator('select').nth(2).select_option('any'); out.locator('button.at-cell').nth(17).click()
    expect(out).to_contain_text('GSPO on Unsloth: no')
    yield from shots(nb, 'matrix', out.locator('.at').first)

def form(nb):
    "Filled in by typing; a refusal shows; a training runs to its end"
    nb.run('form')
    out = nb.output('form')
    def fill(name, text):
        box = out.locator('.widget-text, .widget-combobox').filter(has_text=name).locator('input').first
        box.fill(text)
        box.press('Enter')
    fill('model_name', 'model'); fill('dataset_name', 'rows.jsonl')
    expect(out).to_contain_text('sft on trl')
    fill('learning_rate', 'fast'); expect(out).to_contain_text("learning_rate must be a number above 0, not 'fast'")
    yield from shots(nb, 'refused', out.locator('.at-form').first)
    fill('learning_rate', '1e-3'); fill('max_steps', '30'); fill('output_dir', 'short')
    out.get_by_role('tab', name='Python').click(); expect(out).to_contain_text('max_steps=30,')
    out.get_by_role('tab', name='YAML').click(); expect(out).to_contain_text('max_steps: 30')
    out.get_by_role('tab', name='Plan').click(); expect(out).to_contain_text('effective batch')
    yield from shots(nb, 'form', out.locator('.at-form').first)
    out.get_by_role('button', name='Train').click()
    expect(out).to_contain_text('sft on trl: 30 steps', timeout=60000)
    yield from shots(nb, 'trained', out.locator('.at-form').first)
    fill('max_steps', '200000'); fill('output_dir', 'half')
    out.get_by_role('button', name='Train').click()
    expect(out).to_contain_text('of 200,000', timeout=30000)
    out.get_by_role('button', name='Stop').click()
    expect(out).to_contain_text('stopped at step', timeout=30000)
    expect(out.get_by_role('button', name='Resume')).to_be_enabled()
    if not (Path(nb.folder)/'short'/'model.safetensors').exists(): yield 'the form trained, but there is no model'

def panel(nb):
    "A training in a cell is stopped by its button; the trainer stays usable"
    nb.start('long')
    out = nb.output('long')
    expect(out.locator('img[alt*=curves]').first).to_be_visible(timeout=60000)
    yield from shots(nb, 'panel', out)
    out.get_by_role('button', name='Stop').click()
    nb.done('long', 30); expect(out).to_contain_text('stopped at step')
    nb.run('after'); expect(nb.output('after')).to_contain_text('usable True str')
    yield from shots(nb, 'stopped', out)

def interrupt(nb):
    "The kernel's own interrupt is a Ctrl+C: it saves, and the trainer stays usable"
    nb.start('on')
    out = nb.output('on')
    expect(out).to_contain_text('step', timeout=60000); nb.page.wait_for_timeout(1500)
    nb.command('notebook:interrupt-kernel')
    nb.done('on', 30); expect(out).to_contain_text('stopped at step')
    nb.run('again'); expect(nb.output('again')).to_contain_text('usable True str')
    return []

def twin(browser):
    "The table without widgets: cells open without a script, on a light and on a dark page"
    sys.path.insert(0, str(root))
    from aligntune.show.matrix import matrix_table
    page = browser.new_page(viewport=dict(width=800, height=600), java_script_enabled=False)
    for theme, colours in dict(light='background: #fff; color: #222',
                               dark='background: #111; color: #ddd; color-scheme: dark').items():
        page.set_content(f'<body style="font-family: sans-serif; {colours}">{matrix_table()._repr_html_()}</body>')
        page.locator('summary').nth(17).click()
        expect(page.locator('details[open] .at-pop')).to_contain_text('GSPO on Unsloth: no')
        page.screenshot(path=SHOTS/f'twin-800-{theme}.png')
        page.locator('details[open] summary').click(); page.locator('summary').nth(4).click()
        if page.locator('details[open]').count() != 1: yield 'more than one cell is open'
    page.close()

TRAINING = '''
from aligntune import create_rl_trainer
from aligntune.data.tiny import save_tiny
def length(completions, **kwargs): return [float(len(c)) for c in completions]
rows = [dict(prompt=f'{i}<img src=x onerror=alert(1)>') for i in range(64)]
create_rl_trainer(save_tiny('model', hidden=32, layers=2, heads=4), rows, algorithm='grpo', reward_functions=[length],
                  backend='trl', output_dir='runs/live', max_steps=2000, logging_steps=1, batch_size=8,
                  num_generations=4, max_completion_length=8, guards=dict(rewards=False, learning=False)).train()'''
# the guide's pictures: a model that can sort a little learns to sort
SORTING = '''
from aligntune import create_rl_trainer
from aligntune.algorithms.tasks import sorting, warm_start
from aligntune.demo import sorted_right
model, tok = warm_start(60)
model.save_pretrained('start'); tok.save_pretrained('start')
for name, rate, steps in (('slow', 2e-4, 40), ('sort-grpo', 1e-3, 200)):
    create_rl_trainer('start', sorting(500), algorithm='grpo', reward_functions=[sorted_right], backend='trl',
                      output_dir=f'runs/{name}', max_steps=steps, batch_size=64, num_generations=8, learning_rate=rate,
                      max_completion_length=6, logging_steps=1, beta=.01, save_strategy='no').train()'''

@contextlib.contextmanager
def served(folder, program=TRAINING):
    "A training in a process of its own, and the monitor that shows it"
    from aligntune.monitor.server import ui
    env = os.environ | dict(PYTHONPATH=str(root), HF_HUB_OFFLINE='1', OMP_NUM_THREADS='1',
                            ALIGNTUNE_CACHE=f'{folder}/cache')
    (Path(folder)/'runs').mkdir()
    p = subprocess.Popen([sys.executable, '-c', program], cwd=folder, env=env, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        with ui(f'{folder}/runs', allow_stop=True) as m: yield m, p
    finally:
        p.kill(); p.wait()

def monitor(browser):
    "A training is watched: curves, answers, values under the pointer, a stretch of steps; it is stopped by its button"
    sys.path.insert(0, str(root))
    with tempfile.TemporaryDirectory() as folder, served(folder) as (m, training):
        page, said = browser.new_page(viewport=dict(width=1280, height=900)), []
        page.on('console', lambda e: said.append(e.text)); page.on('pageerror', lambda e: said.append(str(e)))
        page.goto(m.url)
        row = page.locator('#runs tbody tr')
        expect(row).to_have_count(1, timeout=240000); expect(row).to_contain_text('running')
        assert 'token' not in page.url, page.url
        row.locator('a.name').click()
        expect(page.locator('#answers')).to_contain_text('<img src=x onerror=alert(1)>', timeout=120000)
        expect(page.locator('#tokens')).to_contain_text('masked: only read')
        step = page.locator('.aligntune-panel b').first.inner_text()
        expect(page.locator('.aligntune-panel b').first).not_to_have_text(step, timeout=20000)      # live
        yield from pointer(page)
        yield from looks(page, 'run')
        page.on('dialog', lambda d: d.accept())
        page.get_by_role('button', name='Stop and save').click()
        expect(page.locator('h1 .state')).to_have_text('stopped', timeout=60000)
        expect(page.get_by_role('button', name='Stop and save')).to_have_count(0)
        if training.wait(60) != 143: yield f'the training ended with code {training.returncode}'
        shutil.copytree(f'{folder}/runs/live', f'{folder}/runs/again', ignore=shutil.ignore_patterns('checkpoint-*'))
        page.locator('.top a').first.click()
        expect(row).to_have_count(2, timeout=20000)
        yield from looks(page, 'list')
        for box in row.locator('input').all(): box.check()
        page.get_by_role('button', name='Compare 2').click()
        expect(page.locator('.legend li')).to_have_count(2)
        expect(page.locator('#differences')).to_contain_text('last loss')
        yield from looks(page, 'compare')
        yield from (f'the page complains: {s}' for s in said)
        page.close()

def pictures(browser):
    "The pictures of the guide: a run in progress, in both themes"
    sys.path.insert(0, str(root))
    with tempfile.TemporaryDirectory() as folder, served(folder, SORTING) as (m, training):
        page = browser.new_page(viewport=dict(width=1200, height=1000), device_scale_factor=1.5)
        page.goto(m.url)
        page.locator('#runs a.name', has_text='sort-grpo').click(timeout=400000)
        expect(page.locator('.aligntune-panel b').first).to_have_text(re.compile(r'step 1[4-9]\d of'), timeout=400000)
        for theme in THEMES:
            page.emulate_media(color_scheme=theme); page.wait_for_timeout(300)
            page.screenshot(path=root/'nbs'/'guides'/f'monitor_{theme}.png')
        page.close()
    return []

def pointer(page):
    "Values under the pointer, a stretch of steps by dragging, all of them by a double click"
    chart = page.locator('svg[data-lines]').first
    expect(chart).to_be_visible(); chart.scroll_into_view_if_needed()
    expect(page.locator('.aligntune-panel b').first).to_have_text(re.compile(r'step \d\d'), timeout=60000)
    box = chart.bounding_box()
    at = lambda share: (box['x'] + share*box['width'], box['y'] + box['height']/2)
    page.mouse.move(*at(.5))
    expect(page.locator('#tip')).to_contain_text('step'); expect(page.locator('.cross').first).to_be_attached()
    page.mouse.move(*at(.4)); page.mouse.down(); page.mouse.move(*at(.6), steps=4); page.mouse.up()
    page.wait_for_url(re.compile('from=')); expect(page.get_by_role('button', name='all steps')).to_be_visible()
    page.mouse.dblclick(*at(.5)); page.wait_for_url(lambda u: 'from=' not in u)
    page.get_by_label('log scale').check(); page.wait_for_url(re.compile('log=1'))
    page.get_by_label('log scale').uncheck(); page.mouse.move(5, 5)
    if page.locator('#tip:visible').count(): yield 'the values under the pointer stay when it has gone'

# the elements that stick out on the right
WIDEST = '''[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 4).map(e => `${e.tagName} ${e.id} ${e.className} ${e.textContent.trim().slice(0, 40)}`)'''

def looks(page, name):
    "Screenshots in both themes and three widths; what is hard to read or cut"
    for theme in THEMES:
        page.emulate_media(color_scheme=theme); page.wait_for_timeout(100)
        yield from (f'{name}, {theme}: hard to read: {t}' for t in contrast(page.locator('body')))
        for width in (*WIDTHS, 390):
            page.set_viewport_size(dict(width=width, height=900)); page.wait_for_timeout(100)
            page.screenshot(path=SHOTS/f'monitor-{name}-{width}-{theme}.png')
            for text in (100, 130):   # per cent: fonts of other machines are wider
                page.evaluate(f'document.documentElement.style.fontSize = "{text}%"')
                if (over := page.evaluate('document.documentElement.scrollWidth - innerWidth')) > 0:
                    yield (f'{name} is {over} pixels wider than {width} ({theme}, text {text} %): '
                           f'{page.evaluate(WIDEST)}')
            page.evaluate('document.documentElement.style.fontSize = ""')
    page.emulate_media(color_scheme='light'); page.set_viewport_size(dict(width=1280, height=900))

# What a reader would stumble over in the outputs of the open notebook: (cell, complaint)
COMPLAINTS = '''wide => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].flatMap((cell, i) => {
    const found = [], say = (what, e) => found.push([i, what + ': ' + e.textContent.trim().slice(0, 200)]);
    for (const e of cell.querySelectorAll('[data-mime-type="application/vnd.jupyter.error"]')) say('error', e);
    for (const e of cell.querySelectorAll('[data-mime-type="application/vnd.jupyter.stderr"]')) say('on stderr', e);
    for (const e of cell.querySelectorAll('.jp-OutputArea-output')) {
        const failed = /Loading widget|Error (displaying|creating|rendering) widget|widget.*not found|Click to show/;
        if (failed.test(e.textContent)) say('no widget', e);
        const box = e.getBoundingClientRect();
        if (box.height < 2 && (e.textContent.trim() || e.querySelector('img, svg'))) say('nothing is seen', e);
        for (const p of [e, ...e.querySelectorAll('*')]) {
            const style = getComputedStyle(p), seen = p.getClientRects().length && !p.closest('svg');
            if (!seen || p.tagName === 'SELECT' || p.tagName === 'INPUT') continue;
            if (p.scrollWidth > p.clientWidth + 2 && p.clientWidth && style.overflowX !== 'visible')
                say(`${p.tagName} is cut, it needs ${p.scrollWidth} and has ${p.clientWidth} pixels`, p);
            if (p.scrollHeight > p.clientHeight + 2 && p.clientHeight && style.overflowY !== 'visible')
                say(`${p.tagName} is cut below, it needs ${p.scrollHeight} and has ${p.clientHeight} pixels`, p);
            const r = p.getBoundingClientRect();
            if (r.right > box.right + 2 && r.width)
                say(`${p.tagName} sticks out by ${Math.round(r.right - box.right)}`, p);
        }
        for (const pre of wide ? e.querySelectorAll('.jp-RenderedText pre, pre') : []) {
            const c = document.createElement('canvas').getContext('2d');
            const style = getComputedStyle(pre);
            c.font = style.fontSize + ' ' + style.fontFamily;
            const room = pre.clientWidth;
            for (const line of pre.textContent.split('\\n'))
                if (c.measureText(line).width > room + 1 && /  |[|]/.test(line.trim())) {
                    found.push([i, `a line in columns wraps: ${line.trim().slice(0, 200)}`]); break }
        }
    }
    return found })'''
# number and state of each code cell: a folded one has no prompt to read
PROMPTS = '''window.jupyterapp.shell.currentWidget.content.widgets.filter(w => w.model.type === 'code')
    .map(w => [w.model.executionCount, w.model.executionState])'''

def photographed(page, name):
    "Screenshots of the whole notebook, a screen after the other"
    panel = page.locator('.jp-WindowedPanel-outer').first
    at = 0
    while True:
        panel.evaluate('(e, y) => { e.scrollTop = y }', at*1700); page.wait_for_timeout(150)
        page.screenshot(path=SHOTS/'walkthroughs'/f'{name}-{at:02d}.png')
        if panel.evaluate('e => e.scrollTop + e.clientHeight >= e.scrollHeight - 2'): return
        at += 1

def looked_at(page, name, themes=THEMES):
    "What a reader would stumble over, in both themes and widths"
    for theme in themes:
        page.evaluate('t => window.jupyterapp.commands.execute("apputils:change-theme", {theme: t}).then(() => null)',
                      f'JupyterLab {theme.title()}')
        page.wait_for_selector(f'body[data-jp-theme-light="{str(theme == "light").lower()}"]', state='attached')
        for area in page.locator('.jp-Notebook .jp-OutputArea').all():
            yield from (f'{theme}: hard to read: {t}' for t in contrast(area))
        photographed(page, f'{name}-{theme}')
    for width in reversed(WIDTHS):
        page.set_viewport_size(dict(width=width, height=1800)); page.wait_for_timeout(300)
        yield from (f'cell {i}, {width} pixels: {what}' for i, what in page.evaluate(COMPLAINTS, width == WIDTHS[0]))

def run_all(page, seconds=600):
    "*Run All Cells*, as from the menu; then what has not run"
    page.evaluate('() => { window.jupyterapp.commands.execute("notebook:run-all-cells") }')
    ends, quiet = time.time() + seconds, 0
    while quiet < 4:   # between two cells the kernel is idle too
        page.wait_for_timeout(500)
        idle = page.locator('.jp-Notebook-ExecutionIndicator[data-status=idle]').count()
        quiet = quiet + 1 if idle and not any(state == 'running' for _, state in page.evaluate(PROMPTS)) else 0
        if time.time() > ends: yield f'still running after {seconds} s'; break
    yield from (f'code cell {i} has not run' for i, (number, _) in enumerate(page.evaluate(PROMPTS)) if not number)

def walkthrough(browser, at, path):
    "One walkthrough, as it is opened and after all its cells have run; each complaint once"
    page, said = browser.new_page(viewport=dict(width=WIDTHS[0], height=1800)), []
    page.set_default_timeout(60000); expect.set_options(timeout=60000)
    page.on('pageerror', lambda e: said.append(f'the page complains: {e}'))
    url, token = at
    page.goto(f'{url}/doc/tree/{path.name}?token={token}&reset')
    page.locator('.jp-Notebook-ExecutionIndicator[data-status=idle]').first.wait_for()
    cells = len(json.loads(path.read_text())['cells'])
    expect(page.locator('.jp-Notebook .jp-Cell:not(.jp-mod-placeholder)')).to_have_count(cells)
    page.wait_for_timeout(500)
    problems = [f'as opened: {p}' for p in looked_at(page, f'{path.stem}-opened', ['light'])]
    problems += run_all(page)
    page.wait_for_timeout(1000)
    problems += looked_at(page, path.stem)
    if not page.get_by_text('Test run: ').count(): problems.append('it does not say that this is a test run')
    for kernel in page.request.get(f'{url}/api/kernels?token={token}').json():
        page.request.delete(f'{url}/api/kernels/{kernel["id"]}', headers=dict(Authorization=f'token {token}'))
    page.close()
    return list(dict.fromkeys(problems + said))

def walkthroughs(which):
    "All walkthroughs, or those whose names begin so, in JupyterLab"
    if not which: shutil.rmtree(SHOTS/'walkthroughs', ignore_errors=True)
    (SHOTS/'walkthroughs').mkdir(parents=True, exist_ok=True)
    results, start = {}, time.time()
    with tempfile.TemporaryDirectory() as folder:
        paths = [p for p in sorted((root/'nbs'/'walkthroughs').glob('*.ipynb'))
                 if p.name.startswith(tuple(which or ['']))]
        for p in (root/'nbs'/'walkthroughs').iterdir(): shutil.copy(p, folder)
        (Path(folder)/'.jupyter').mkdir()
        with lab(folder, IN_TEST='1') as at, sync_playwright() as pw:
            browser = pw.chromium.launch(executable_path=chromium(), args=FLAGS)
            for path in paths:
                began = time.time()
                try: found = walkthrough(browser, at, path)
                except (AssertionError, PlaywrightError) as e: found = [str(e)[:1500]]
                results[path.stem] = [f'{path.stem}: {p}' for p in found]
                print(f'   {path.stem}: {len(found) or "no"} complaints, {time.time()-began:.0f} s', *found, sep='\n',
                      flush=True)
            browser.close()
    report(results, f'{time.time()-start:.0f} s; screenshots in .cache/screens/walkthroughs')

def main(only):
    "Run the checks, one after the other, in one JupyterLab; each problem is a line"
    SHOTS.mkdir(parents=True, exist_ok=True)
    results, start = {}, time.time()
    def check(name, problems):
        began = time.time()
        try: results[name] = [f'{name}: {p}' for p in problems()]
        except (AssertionError, PlaywrightError) as e:
            results[name] = [f'{name}: {str(e)[:1500]}']
            nb.page.screenshot(path=SHOTS/f'failed-{name}.png')
            nb.command('notebook:interrupt-kernel')
        print(f'   {name}: {"failed" if results[name] else "ok"}, {time.time()-began:.0f} s', flush=True)
    with tempfile.TemporaryDirectory() as folder, lab_and_page(folder) as nb:
        nb.run('made')
        for f in (twin, monitor, matrix, form, panel, interrupt, pictures):
            if f is pictures and not only: continue   # on request
            if only and f.__name__ not in only: continue
            check(f.__name__, lambda: f(nb.page.context.browser if f in (twin, monitor, pictures) else nb))
    report(results, f'{time.time()-start:.0f} s; screenshots in .cache/screens')

@contextlib.contextmanager
def lab_and_page(folder):
    "JupyterLab, a browser, and the notebook open in it"
    (Path(folder)/'.jupyter').mkdir(); write_notebook(Path(folder)/'widgets.ipynb')
    with lab(folder) as (url, token), sync_playwright() as pw:
        browser = pw.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport=dict(width=1280, height=1000))
        page.set_default_timeout(30000); expect.set_options(timeout=30000)   # other work may keep the machine busy
        page.goto(f'{url}/doc/tree/widgets.ipynb?token={token}&reset')
        page.locator('.jp-Notebook .jp-Cell').nth(len(NAMES) - 1).wait_for(timeout=60000)
        page.locator('.jp-Notebook-ExecutionIndicator[data-status=idle]').first.wait_for(timeout=60000)
        nb = Notebook(page); nb.folder = folder
        try: yield nb
        finally: browser.close()

if __name__ == '__main__':
    if why := missing(): print(f'browser: skipped, {why}'); print('0 passed, 0 failed'); sys.exit()
    walkthroughs(sys.argv[2:]) if sys.argv[1:2] == ['walkthroughs'] else main(sys.argv[1:])
