("The pages: nbdev's processors run, links and anchors lead somewhere, nothing is fetched from elsewhere, code is "
 "narrow, README.md is what index.ipynb says, each setting has its place, words of other projects lead somewhere.")
import functools, importlib, json, re, sys
from common import report, root
import shape
import website as web

@functools.cache
def anchors(url):
    "The anchors of a page, in lower case"
    return {i.lower() for i in site[url].ids}

def links(site, page):
    "Links of one page that lead nowhere"
    for link in page.links:
        target, fragment = web.local(page.url, link)
        if target is None: continue
        if target not in site and not (root/'_proc'/target).exists(): yield f'dead link {link}'
        elif fragment and target in site and fragment.lower() not in anchors(target):
            yield f'no anchor {link}'

def page_problems(site, page):
    "Everything wrong with one page"
    if not page.meta.get('title'): yield 'no title'
    for line in re.findall(r'(?m)^#\|.*$', page.markdown): yield f'a directive leaked into the page: {line}'
    for url in page.resources:
        if re.match(r'(https?:)?//', url): yield f'it loads {url} from elsewhere'
        elif web.local(page.url, url)[0] not in site and not (root/'_proc'/web.local(page.url, url)[0]).exists():
            yield f'no file {url}'
    yield from links(site, page)
    for code in re.findall(r'(?ms)^``` python\n(.*?)\n```$', page.markdown):
        if len(shape.narrow(code)) > len(code): yield f'code of more than {shape.WIDTH} columns: {code[:60]!r}'
    if page.source.parent.name == 'walkthroughs' and f'/blob/main/nbs/{page.source}' not in page.body:
        yield 'no link that opens it in Colab'

OLD = '{0}: its saved output is not what the package says; run `make nb NB={0}`'

def page_text(page):
    "What the notebook of a page says, outputs too"
    cells = json.loads((root/'nbs'/page.source).read_text())['cells']
    return '\n'.join(''.join(text) for c in cells for o in c.get('outputs', []) for text in o.get('data', {}).values())

def setting_problems(site):
    "Settings that the page of settings lacks, or describes as they were"
    from aligntune.core.spec import FIELDS
    from aligntune.show.settings import settings_markdown
    page = site['guides/settings.html']
    yield from (f'nbs/{page.source}: no place for {n}' for n in FIELDS if n not in page.ids)
    if settings_markdown() not in page_text(page): yield OLD.format(f'nbs/{page.source}')

def decision_problems(site):
    "Whether the decision page holds the answers of today"
    from aligntune.show.decision import decision_page
    page = site['guides/decide.html']
    if decision_page() not in page_text(page): yield OLD.format(f'nbs/{page.source}')

def word_problems(site):
    "Words of other projects that stand twice, or lead nowhere"
    seen = set()
    for w in web.words():
        page, _, anchor = w['at'].partition('#')
        if page not in site or anchor and anchor not in site[page].ids:
            yield f"words.json: no {w['at']} for {w['words'][0]}"
        for name in map(str.lower, w['words']):
            if name in seen: yield f'words.json: {name} stands twice'
            seen.add(name)

def index_problems(site):
    "Symbols of _modidx.py whose page or anchor is missing"
    if not (root/'aligntune/_modidx.py').exists(): yield 'aligntune/_modidx.py is missing; run `make export`'; return
    for module, symbols in importlib.import_module('aligntune._modidx').d['syms'].items():
        for name, (link, _) in symbols.items():
            page, fragment = link.split('#')
            short = name.removeprefix(module + '.')
            if page not in site: yield f'_modidx.py: {name} points to the missing page {page}'
            elif not short.startswith('_') and '.' not in short and fragment not in site[page].ids:
                yield f'_modidx.py: {name} has no anchor on {link}'

def beside(text):
    "The README with the pictures of nbs, which is a folder beside it"
    return re.sub(r'((?:src|srcset)="|\]\()(?=styles/)', r'\1nbs/', text)

def readme_problems(site):
    "README.md against index.ipynb"
    if 'index.html' not in site: return ['nbs/index.ipynb is missing']
    f = root/'README.md'
    want, got = beside(web.readme(site['index.html'])), f.read_text() if f.exists() else ''
    if '--readme' in sys.argv: f.write_text(want); got = want
    if want == got: return []
    n = next((i for i, (a, b) in enumerate(zip(want.splitlines(), got.splitlines()), 1) if a != b),
             min(len(want.splitlines()), len(got.splitlines())))
    return [f'README.md:{n}: not what nbs/index.ipynb says; run `make export`']

built = web.process()
site = web.pages(coloured=False)
results = {f'page {u}': [f'nbs/{p.source}: {o}' for o in page_problems(site, p)] for u, p in site.items()}
if (root/'nbs/show').exists():   # the whole project, not a piece of it
    for check in (setting_problems, decision_problems, word_problems): results[check.__name__] = list(check(site))
results |= {'processors': built, 'index': list(index_problems(site)), 'README': readme_problems(site)}
order = root/'nbs/sidebar.yml'
results['sidebar'] = ([] if order.exists() and order.read_text() == web.sidebar()
                      else ['nbs/sidebar.yml: not the reading order; run `make export`'])
report(results, f'{len(site)} pages, {sum(len(p.links) for p in site.values())} links')
