"""The website: nbdev's own processors and tools/shape.py, then pandoc alone, or Quarto, into _docs.

    python tools/website.py               render the site without Quarto
    python tools/website.py guides/ core/ only pages whose path holds one of these words; the others stay as they are
    python tools/website.py --quarto      the same pages by Quarto
    python tools/website.py --sidebar     write nbs/sidebar.yml, the reading order (Quarto uses it too)"""
import contextlib, html, importlib, json, os, re, shutil, subprocess, sys, warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html.parser import HTMLParser
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from urllib.parse import quote
from common import modules, notebooks, root, warm

# The reading order: folder, heading. A folder that is not here comes last, under its own name; so do pages that FIRST
# does not name, in the order of their files.
ROOMS = dict(walkthroughs='Walkthroughs', guides='Guides', commands='Command line', recipes='Recipes',
             errors='Errors by code', core='Core: what is asked, who does it', data='Data',
             process='Processes', sandbox='Sandbox',
             rewards='Rewards', engine='Engine: what makes training fast', algorithms='Algorithms', run='Runs on disk',
             backends='Backends', series='Sweeps and stages', share='Models for elsewhere', evaluate='Evaluate',
             show='Show', monitor='Monitor in the browser', foreign='Configs of other projects',
             schedulers='Schedulers', bench='Bench',
             experiments='Experiments', emulation='Emulation')
FIRST = dict(guides='''decide backend_selection backend_comparison support_matrix comparison sft_guide your_data
    settings rl_guide reward_functions callbacks tracking monitor series evaluation exporting hub shell migration words
    trl_guide unsloth_guide unsloth_compatibility training_hub performance numerics distributed clusters scaling
    object_stores
    troubleshooting error_messages'''.split())

def reading_order():
    "[(heading, [notebooks])]; the front page has no heading"
    found = [p.relative_to('nbs') for p in notebooks()]
    place = lambda p: (FIRST.get(p.parent.as_posix(), []) + [p.stem]).index(p.stem)
    here = lambda folder: sorted((p for p in found if p.parent.as_posix() == folder), key=lambda p: (place(p), p))
    folders = [*ROOMS, *sorted({p.parent.as_posix() for p in found} - {'.', *ROOMS})]
    front = [p for p in here('.') if p.stem == 'index']
    rest = [('Package and command line', [p for p in here('.') if p.stem != 'index'])]
    return [('', front)] + [(ROOMS.get(f, f), here(f)) for f in folders if here(f)] + rest

def sidebar():
    "nbs/sidebar.yml: the reading order in Quarto's words"
    lines = ['# Written by `make export` from the reading order in tools/website.py.', 'website:', '  sidebar:',
             '    contents:']
    for heading, pages in reading_order():
        pad = '      '
        if heading: lines += [f'      - section: "{heading}"', '        contents:']; pad = '          '
        lines += [f'{pad}- {p.as_posix()}' for p in pages]
    return '\n'.join(lines) + '\n'

def _process(job):
    "nbdev's processors and ours on one notebook: (source, error)"
    from execnb.nbio import mk_cell, read_nb, write_nb
    from nbdev.config import get_config
    from nbdev.serve import FilterDefaults
    from shape import shape
    source, target = job
    os.environ['IN_TEST'] = '1'
    get_config().d['renderer'] = 'shape.Rendered'
    try:
        nb = read_nb(source)
        FilterDefaults()(nb)
        # the front page is README.md too, which has no lines that open
        guide = source.parent.name in ('walkthroughs', 'guides')
        shape(nb, lambda text: mk_cell(text, 'markdown'), proofs=source.stem != 'index', lesson=not guide)
        write_nb(nb, target)
    except BaseException as e: return str(source), f'{type(e).__name__}: {e}'
    return str(source), ''

def warm_package():
    "Import the package too: each notebook is processed in a fork, which would import its modules anew"
    for name in modules():
        with contextlib.suppress(Exception): importlib.import_module(name)   # a page that needs it says so

def process(only=()):
    """Run the processors into _proc, in forked workers that share one import of the heavy libraries; the problems.
    With words in `only`, only notebooks whose path holds one of them"""
    from nbdev.config import get_config
    from nbdev.serve import _proc_file
    warnings.simplefilter('ignore')   # the notebook check speaks of the notebooks
    warm_package(); warm()
    cfg = get_config(); cache = cfg.config_path/'_proc'
    if not only: shutil.rmtree(cache, ignore_errors=True)
    files = [p for p in cfg.nbs_path.rglob('*')
             if p.is_file() and not any(o.startswith(('.', '_')) for o in p.relative_to(cfg.nbs_path).parts)]
    for f in files:
        if any(o in f.as_posix() for o in only): (cache/f.relative_to(cfg.nbs_path)).unlink(missing_ok=True)
    jobs = [j[:2] for f in files if (j := _proc_file(f, cache, cfg.nbs_path)) and f.suffix == '.ipynb']
    if only: jobs = [j for j in jobs if any(o in j[0].as_posix() for o in only)]
    with get_context('fork').Pool(min(os.cpu_count() or 1, 4), maxtasksperchild=1) as pool:
        done = pool.map(_process, jobs, chunksize=1)
    return [f'{Path(f).relative_to(root)}: the docs build fails: {e}' for f, e in done if e]

@dataclass
class Page:
    "One page of the site"
    source: PurePosixPath   # of the notebook, below nbs
    url: str
    meta: dict
    markdown: str
    body: str = ''
    ids: set = field(default_factory=set)
    links: list = field(default_factory=list)
    resources: list = field(default_factory=list)
    headings: list = field(default_factory=list)

def _text(x): return ''.join(x) if isinstance(x, list) else (x or '')

def _output(o, alt=''):
    "One saved output as markdown"
    data = o.get('data', {})
    if 'text/markdown' in data: return _text(data['text/markdown'])
    if 'text/html' in data: return '```{=html}\n' + _text(data['text/html']) + '\n```'
    if 'image/svg+xml' in data: return '```{=html}\n' + _text(data['image/svg+xml']) + '\n```'
    if 'image/png' in data:   # not as markdown, which would show the text below the picture
        drawn = _text(data['image/png']).replace('\n', '')
        return f'```{{=html}}\n<img alt="{html.escape(alt)}" src="data:image/png;base64,{drawn}">\n```'
    text = re.sub(r'\x1b\[[0-9;]*m', '', _text(data.get('text/plain', o.get('text'))).rstrip())
    return f'``` {{.output}}\n{text}\n```' if text else ''

def to_markdown(nb):
    "(front matter, markdown) of a processed notebook: what Quarto hands to pandoc, near enough"
    import yaml
    meta, out = {}, []
    for c in nb['cells']:
        source = _text(c.get('source'))
        if c['cell_type'] == 'raw' and (m := re.match(r'(?s)\s*---\n(.*?)\n---', source)):
            meta |= yaml.safe_load(m[1]) or {}
        elif c['cell_type'] == 'markdown': out.append(source)
        elif c['cell_type'] == 'code':
            told = {k: re.sub(' # .*', '', v or '').strip()
                    for k, v in re.findall(r'(?m)^#\|\s*(\S+?):?(?:\s+(.*))?$', source)}
            if told.get('include') == 'false': continue
            body = '\n'.join(l for l in source.splitlines() if not l.startswith('#|')).strip()
            if body and told.get('echo') != 'false': out.append(f'``` python\n{body}\n```')
            alt = told.get('fig-alt', '').strip('"')
            if told.get('output') != 'false': out += [_output(o, alt) for o in c.get('outputs', [])]
    return meta, '\n\n'.join(o for o in out if o)

def pandoc(text, to, *more):
    "Pandoc as Quarto would call it"
    import pypandoc
    command = [pypandoc.get_pandoc_path(), '-f', 'markdown+autolink_bare_uris+emoji', '-t', to, *more]
    return subprocess.run(command, input=text, text=True, capture_output=True, check=True).stdout

class _Reader(HTMLParser):
    "Ids, links, resources and headings of a page"
    def __init__(self):
        super().__init__(); self.ids, self.links, self.resources, self.headings, self._h = set(), [], [], [], None
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if a.get('id'): self.ids.add(a['id'])
        if tag == 'a' and a.get('href'): self.links.append(a['href'])
        if (u := a.get('src') or (a.get('href') if tag == 'link' else None)) and not u.startswith('data:'):
            self.resources.append(u)
        if tag in ('h2', 'h3') and a.get('id'): self._h = (tag, a['id'], [])
    def handle_data(self, data):
        if self._h: self._h[2].append(data)
    def handle_endtag(self, tag):
        if self._h and tag == self._h[0]: self.headings.append((tag, self._h[1], ''.join(self._h[2]))); self._h = None

def _page(path, coloured=True):
    "The page of one processed notebook"
    rel = PurePosixPath(path.relative_to(root/'_proc').as_posix())
    meta, md = to_markdown(json.loads(path.read_text()))
    url = (rel.parent/meta.get('output-file', rel.with_suffix('.html').name)).as_posix()
    plain = [] if coloured else ['--no-highlight']   # without an anchor and a link in each line of code
    page, read = Page(rel, url, meta, md, pandoc(md, 'html', '--mathml', *plain)), _Reader()
    read.feed(page.body)
    page.ids, page.links, page.resources, page.headings = read.ids, read.links, read.resources, read.headings
    return page

def pages(coloured=True):
    "All pages, by address; the checks need no colours"
    files = sorted((root/'_proc').rglob('*.ipynb'))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {p.url: p for p in pool.map(lambda f: _page(f, coloured), files)}

def base():
    from nbdev.config import get_config
    return get_config().doc_host.rstrip('/') + get_config().doc_baseurl.rstrip('/') + '/'

def readme(page):
    "README.md as `quarto render -t gfm` writes it"
    body = pandoc(
        page.markdown,
        'commonmark+autolink_bare_uris+emoji+footnotes+gfm_auto_identifiers+pipe_tables+strikeout+task_lists'
        '+tex_math_dollars', '--wrap=none')
    return f"# {page.meta['title']}\n\n\n{body}"

def local(url, link):
    "The address that a link on the page `url` means here: (path or None if it leads away, fragment)"
    if link.startswith(base()): link = '/' + link[len(base()):]
    elif re.match(r'[a-z]+:', link): return None, ''
    path, _, fragment = link.partition('#')
    target = path[1:] if path.startswith('/') else os.path.normpath(PurePosixPath(url).parent/path) if path else url
    target = 'index.html' if target in ('', '.') else target
    return re.sub(r'(^|/)\d+[a-z]?_([^/]*)\.ipynb$', r'\1\2.html', target).replace('.ipynb', '.html'), fragment

def _relative(url, target): return os.path.relpath(target, PurePosixPath(url).parent)

def _nav(site, url):
    "The sidebar, with the current page marked"
    at = {p.source.as_posix(): p for p in site.values()}
    out, source = [], site[url].source.as_posix()
    for heading, members in reading_order():
        near = heading in ('Walkthroughs', 'Guides') or source in [m.as_posix() for m in members]
        def item(p):
            here, title = ' aria-current=page' if p.url == url else '', html.escape(p.meta.get('title', p.url))
            return f'<li><a href="{_relative(url, p.url)}"{here}>{title}</a></li>'
        items = ''.join(item(p) for m in members if (p := at.get(m.as_posix())))
        out.append(
            f'<details{" open" if near else ""}><summary>{html.escape(heading)}</summary><ul>{items}</ul></details>'
            if heading else f'<ul>{items}</ul>')
    return ''.join(out)

def _links(page):
    "The body, with links to the site's own address and to notebooks made relative"
    def mend(m):
        target, fragment = local(page.url, html.unescape(m[1]))
        return m[0] if target is None else f'href="{_relative(page.url, target)}{"#" + fragment if fragment else ""}"'
    return re.sub(r'href="([^"]*)"', mend, page.body)

def _plain(body):
    "The words of a piece of a page, for the search; tags inside words, as in coloured code, leave no gap"
    text = re.sub(r'(?s)<(style|script|annotation).*?</\1>', '', body)
    return re.sub(r'\s+', ' ', html.unescape(re.sub(r'<[^>]+>', ' ',
                                                    re.sub(r'</?(span|a|code|strong|em)\b[^>]*>', '', text)))).strip()

def _sections(page):
    "[(anchor, heading, words)] of a page; what stands above the first heading has neither"
    parts = re.split(r'<h[23]\b[^>]*?\bid="([^"]+)"[^>]*>(.*?)</h[23]>', page.body, flags=re.S)
    found = [('', '', parts[0]), *zip(parts[1::3], parts[2::3], parts[3::3])]
    return [(i, _plain(h), _plain(text)[:20000]) for i, h, text in found]

def words():
    "What other projects call it: [{words, here, at}], from the table in nbs/guides/words.json"
    rows = json.loads((root/'nbs/guides/words.json').read_text())
    return [dict(words=names.split(', '), here=here, at=at) for names, here, at in rows]

def search_index(site):
    "The search index as a script: pages, sections, words of other projects"
    order = {u: i for i, u in enumerate(site)}
    sections = [(order[p.url], *s) for p in site.values() for s in _sections(p) if s[1] or s[2]]
    index = dict(PAGES=[dict(u=p.url, t=p.meta.get('title', '')) for p in site.values()], SECTIONS=sections,
                 WORDS=words())
    return ''.join(f'window.{k} = {json.dumps(v, ensure_ascii=False)};\n' for k, v in index.items())

def _turn(site, url):
    "Links to the page before and the page after, in the reading order"
    at = {p.source.as_posix(): p for p in site.values()}
    order = [at[m.as_posix()] for _, members in reading_order() for m in members if m.as_posix() in at]
    i = [p.url for p in order].index(url)
    near = [('previous', order[i-1] if i else None), ('next', order[i+1] if i + 1 < len(order) else None)]
    return ''.join(f'<a class="{word}" rel="{word[:4]}" href="{_relative(url, p.url)}"><small>{word.title()}</small>'
                   f'{html.escape(p.meta.get("title", p.url))}</a>' for word, p in near if p)

def _repository():
    from nbdev.config import get_config
    return get_config().git_url, get_config().branch

def _toc(page):
    "The headings of a page, as deep as its front matter says"
    deep = int(page.meta.get('toc-depth', 3))
    return ''.join(f'<li class={t}><a href="#{i}">{html.escape(h)}</a></li>'
                   for t, i, h in page.headings if int(t[1]) <= deep)

def write(out):
    "Render all pages, the search index and the styles into `out`"
    site, template = pages(), (root/'tools/website.html').read_text()
    (git, branch), script = _repository(), (root/'nbs/styles/site.html').read_text()
    shutil.rmtree(out, ignore_errors=True)
    for page in site.values():
        source, title = f'nbs/{page.source.as_posix()}', page.meta.get('title', 'aligntune')
        parts = dict(title=html.escape(title), description=html.escape(page.meta.get('description', '')),
                     nav=_nav(site, page.url), toc=_toc(page), body=_links(page), top=_relative(page.url, '.'),
                     turn=_turn(site, page.url), edit=f'{git}/edit/{branch}/{source}', script=script,
                     issue=f'{git}/issues/new?title={quote(title)}')
        f = out/page.url; f.parent.mkdir(parents=True, exist_ok=True)
        f.write_text(re.sub(r'\{\{(\w+)\}\}', lambda m: parts[m[1]], template))
    (out/'search.js').write_text(search_index(site))
    for f in (root/'_proc').rglob('*'):
        if f.is_file() and f.suffix not in ('.ipynb', '.yml', '.scss'):
            (out/f.relative_to(root/'_proc')).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f, out/f.relative_to(root/'_proc'))
    return site

def by_quarto(out):
    "Quarto on the same processed notebooks; its search gets the words of other projects too"
    from nbdev.quarto import refresh_quarto_yml
    refresh_quarto_yml()   # nbs/nbdev.yml, from settings.ini
    for name in ('_quarto.yml', 'nbdev.yml'): shutil.copy(root/'nbs'/name, root/'_proc'/name)
    subprocess.run(['quarto', 'render', '--no-cache'], cwd=root/'_proc', check=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(root/'_proc'/out.name, out)
    add_words(out/'search.json')

def add_words(file):
    "Words of other projects as entries of Quarto's search index"
    found = json.loads(file.read_text())
    found += [dict(objectID=f"{w['at']}~{w['words'][0]}", href=w['at'], title=', '.join(w['words']), section='',
                   text=w['here']) for w in words()]
    file.write_text(json.dumps(found, ensure_ascii=False))

def main(args):
    "Process, render, say what failed; the exit code"
    if '--sidebar' in args: (root/'nbs/sidebar.yml').write_text(sidebar()); return 0
    problems = process([a for a in args if not a.startswith('-')])
    if '--quarto' in args: by_quarto(root/'_docs'); print('\n'.join(problems) or 'the site is in _docs')
    else:
        site = write(root/'_docs')
        print('\n'.join(problems) or f'{len(site)} pages in _docs, start with _docs/index.html')
    return int(bool(problems))

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
