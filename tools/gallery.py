"""Ten pages of _docs in a real browser: three widths, light and dark, into .cache/gallery (open index.html there).

Reported are: a page wider than its window, code that is cut, something wide without a hint that it scrolls, text of low
contrast, a control or picture without a name, the current page out of view in the sidebar, anything that is loaded from
elsewhere, and errors of scripts; and whether search, copying and the decision page work.
`python tools/gallery.py --all` checks all pages and takes no pictures; with words, only pages that hold one of them."""
import html, sys
from itertools import product
from common import report, root
from browser import FLAGS, THEMES, PlaywrightError, chromium, contrast, expect, sync_playwright

PAGES = '''index walkthroughs/quickstart walkthroughs/grpo_verifiable guides/decide guides/settings guides/words
    guides/support_matrix guides/performance core/spec backends/loading'''.split()
WIDTHS = dict(desk=1440, tablet=820, phone=390)
SHOTS, TALL = root/'.cache'/'gallery', 2400   # pixels of a picture

LOOK = '''() => {
    const bad = [], all = s => [...document.querySelectorAll(s)], seen = e => e.offsetParent && e.checkVisibility()
    const over = document.documentElement.scrollWidth - innerWidth
    if (over > 0) bad.push(`${over} pixels wider than the window`)
    for (const e of all('main pre:not(.output)'))
        if (seen(e) && e.scrollWidth > e.clientWidth + 4) bad.push('code is cut: ' + e.textContent.trim().slice(0, 50))
    for (const e of all('main table, main pre.output'))
        if (seen(e) && e.scrollWidth > e.clientWidth + 4 && !e.classList.contains('wide') && !e.closest('.wide'))
            bad.push('scrolls without saying so: ' + e.textContent.trim().slice(0, 50))
    const named = e => e.getAttribute('aria-label') || e.textContent.trim() || e.title || e.labels?.length
        || e.querySelector('img[alt]:not([alt=""])')
    for (const e of all('button, a[href], input, select, summary'))
        if (seen(e) && !e.getAttribute('aria-hidden') && !named(e)) bad.push('no name: ' + e.outerHTML.slice(0, 70))
    for (const e of all('img:not([alt])')) bad.push('a picture without a text: ' + e.outerHTML.slice(0, 70))
    const now = document.querySelector('#nav [aria-current]'), nav = document.querySelector('#nav')
    if (!now) bad.push('the sidebar does not mark the page')
    else if (seen(now)) {
        const a = now.getBoundingClientRect(), b = nav.getBoundingClientRect()
        if (a.top < b.top || a.bottom > b.bottom) bad.push('the sidebar does not show the current page') }
    return bad }'''

def visit(page, name, theme, width, pictures):
    "Problems of one page in one window"
    page.set_viewport_size(dict(width=width, height=900))
    page.goto(f'{(root/"_docs").as_uri()}/{name}.html')
    page.wait_for_timeout(120)
    yield from page.evaluate(LOOK)
    yield from (f'hard to read: {t}' for t in contrast(page.locator('body')))
    if pictures:
        tall = min(page.evaluate('document.documentElement.scrollHeight'), TALL)
        page.set_viewport_size(dict(width=width, height=tall)); page.wait_for_timeout(80)
        page.screenshot(path=SHOTS/shot(name, width, theme))

def shot(name, width, theme): return f'{name.replace("/", "-")}-{width}-{theme}.png'

def search(page):
    "The search knows words of other projects, settings, and shows where a word stands"
    page.goto((root/'_docs/guides/settings.html').as_uri())
    page.keyboard.press('/')
    for text, first in (('KTO', 'Not supported'), ('wandb', 'report_to=wandb'), ('flash att', 'attn_implementation'),
                        ('save_total_limit', 'save_total_limit'), ('prefix sharing', 'prefix sharing')):
        page.locator('#q').fill(text)
        expect(page.locator('#hits li').first).to_contain_text(first, timeout=5000, ignore_case=True)
    expect(page.locator('#hits mark').first).to_be_visible()
    page.locator('#q').fill('packing'); page.keyboard.press('ArrowDown')
    if page.evaluate('document.activeElement.closest("#hits") == null'): yield 'arrow keys do not lead into the hits'
    page.keyboard.press('Enter'); page.wait_for_url('**/settings.html#packing')
    expect(page.locator('#packing')).to_be_in_viewport()

def copy(page):
    "Code is copied by its button"
    page.goto((root/'_docs/walkthroughs/quickstart.html').as_uri())
    page.locator('main .copied-from').first.hover()
    page.locator('main button.copy').first.click()
    expect(page.locator('main button.copy').first).to_have_text('copied')
    for link in ('.turn .next', '.about a'):
        if not page.locator(link).count(): yield f'no {link}'
    if not page.locator('main a[href*="colab.research.google.com"]').count(): yield 'a walkthrough without a Colab link'

def decide(page):
    "The decision page answers, also to the keyboard"
    page.goto((root/'_docs/guides/decide.html').as_uri())
    said = page.locator('.at-decide [role=status]')
    expect(said).to_contain_text("DPO, backend='auto': Unsloth trains it")
    page.get_by_label('Machine').select_option('cpu'); expect(said).to_contain_text('TRL trains it')
    page.get_by_label('Machine').select_option('h100'); page.get_by_label('Unsloth installed').uncheck()
    expect(said).to_contain_text('TRL trains it')
    page.get_by_role('button', name='GSPO, backend Unsloth').focus(); page.keyboard.press('Enter')
    expect(said).to_contain_text('not supported on Unsloth')
    if page.locator('.at-picked').count() != 1: yield 'more than one cell is picked'

def index(names):
    "A page with all pictures"
    picture = '<img src="{}" alt="{}, {} pixels, {}" width="{}">'
    row = lambda n: ''.join(picture.format(shot(n, w, t), n, w, t, w//3) for w in WIDTHS.values() for t in THEMES)
    rows = ''.join(f'<h2>{html.escape(n)}</h2><div>{row(n)}</div>' for n in names)
    (SHOTS/'index.html').write_text(f'<meta charset=utf-8><title>Gallery</title><style>img {{vertical-align: top; '
                                    f'margin: 4px; border: 1px solid #888}}</style>{rows}')

def main(args):
    "Visit the pages; each problem is a line"
    if sync_playwright is None or not chromium(): print('gallery: skipped, no playwright or no Chromium'); return
    everything, words = '--all' in args, [a for a in args if not a.startswith('-')]
    names = [p.relative_to(root/'_docs').with_suffix('').as_posix() for p in sorted((root/'_docs').rglob('*.html'))]
    names = [n for n in names if '/styles/' not in f'/{n}']
    missing = [] if everything else [n for n in PAGES if n not in names]
    names = [n for n in names if any(w in n for w in words)] if words else names if everything else PAGES
    SHOTS.mkdir(parents=True, exist_ok=True)
    results = dict(pages=[f'_docs has no {n}.html: `make docs` first' for n in missing])
    with sync_playwright() as pw:
        browser = pw.chromium.launch(executable_path=chromium(), args=FLAGS)
        for theme in THEMES:
            page = browser.new_page(color_scheme=theme)
            said = []
            page.on('request', lambda r: said.append(f'loads {r.url}'))
            page.on('pageerror', lambda e: said.append(f'script error: {e}'))
            for name, width in product((n for n in names if n not in missing), WIDTHS.values()):
                said.clear()
                found = [*visit(page, name, theme, width, not everything),
                         *(s for s in said if not s.startswith(('loads file:', 'loads data:')))]
                results[f'{name} {width} {theme}'] = [f'{name}, {width}, {theme}: {f}' for f in dict.fromkeys(found)]
            page.close()
        page = browser.new_page(viewport=dict(width=1280, height=900))
        for check in () if words or missing else (search, copy, decide):
            try: results[check.__name__] = [f'{check.__name__}: {p}' for p in check(page)]
            except (AssertionError, PlaywrightError) as e:
                results[check.__name__] = [f'{check.__name__}: {str(e)[:600]}']
        browser.close()
    if not everything: index(names)
    report(results, f'{len(names)} pages' + ('' if everything else '; pictures in .cache/gallery/index.html'))

if __name__ == '__main__': main(sys.argv[1:])
