"""The website without Quarto: nbdev's own processors, then pandoc, into _docs; for `make docs` where Quarto is missing.

    python tools/website.py             render the site
    python tools/website.py --sidebar   write nbs/sidebar.yml, the reading order (Quarto uses it too)"""
import html, json, os, re, shutil, subprocess, sys, warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html.parser import HTMLParser
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from common import notebooks, root, warm

# The reading order: folder, heading. A folder that is not here comes last, under its own name; so do pages that FIRST
# does not name, in the order of their files.
ROOMS = dict(walkthroughs='Walkthroughs', guides='Guides', commands='Command line', recipes='Recipes',
             core='Core: what is asked, who does it', data='Data', process='Processes', sandbox='Sandbox',
             rewards='Rewards', engine='Engine: what makes training fast', algorithms='Algorithms', run='Runs on disk',
             backends='Backends', series='Sweeps and stages', share='Models for elsewhere', evaluate='Evaluate',
             show='Show', monitor='Monitor in the browser', foreign='Configs of other projects',
             schedulers='Schedulers', bench='Bench',
             experiments='Experiments', emulation='Emulation')
FIRST = dict(guides='''backend_selection backend_comparison support_matrix comparison sft_guide your_data rl_guide
    reward_functions callbacks tracking monitor series evaluation exporting hub shell migration trl_guide unsloth_guide
    unsloth_compatibility training_hub performance numerics distributed clusters scaling object_stores
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
    "nbdev's processors on one notebook: (source, error)"
    from nbdev import serve_drv
    try: serve_drv.main(job)
    except BaseException as e: return str(job[0]), f'{type(e).__name__}: {e}'
    return str(job[0]), ''

def process():
    "Run nbdev's processors into _proc, in forked workers that share one import of the heavy libraries; the problems"
    from nbdev.config import get_config
    from nbdev.serve import FilterDefaults, _proc_file
    warnings.simplefilter('ignore')   # the notebook check speaks of the notebooks
    warm()
    cfg = get_config(); cache = cfg.config_path/'_proc'
    shutil.rmtree(cache, ignore_errors=True)
    files = [p for p in cfg.nbs_path.rglob('*')
             if p.is_file() and not any(o.startswith(('.', '_')) for o in p.relative_to(cfg.nbs_path).parts)]
    jobs = [j for f in files if (j := _proc_file(f, cache, cfg.nbs_path)) and j[2] is FilterDefaults]
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

def _output(o):
    "One saved output as markdown"
    data = o.get('data', {})
    if 'text/markdown' in data: return _text(data['text/markdown'])
    if 'text/html' in data: return '```{=html}\n' + _text(data['text/html']) + '\n```'
    if 'image/svg+xml' in data: return '```{=html}\n' + _text(data['image/svg+xml']) + '\n```'
    if 'image/png' in data: return '![](data:image/png;base64,' + _text(data['image/png']).replace('\n', '') + ')'
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
            told = {k: (v or '').strip() for k, v in re.findall(r'(?m)^#\|\s*(\S+?):?(?:\s+(.*))?$', source)}
            if told.get('include') == 'false': continue
            body = '\n'.join(l for l in source.splitlines() if not l.startswith('#|')).strip()
            if body and told.get('echo') != 'false': out.append(f'``` python\n{body}\n```')
            if told.get('output') != 'false': out += [_output(o) for o in c.get('outputs', [])]
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

def _page(path):
    "The page of one processed notebook"
    rel = PurePosixPath(path.relative_to(root/'_proc').as_posix())
    meta, md = to_markdown(json.loads(path.read_text()))
    url = (rel.parent/meta.get('output-file', rel.with_suffix('.html').name)).as_posix()
    page, read = Page(rel, url, meta, md, pandoc(md, 'html', '--mathml')), _Reader()
    read.feed(page.body)
    page.ids, page.links, page.resources, page.headings = read.ids, read.links, read.resources, read.headings
    return page

def pages():
    "All pages, by address"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {p.url: p for p in pool.map(_page, sorted((root/'_proc').rglob('*.ipynb')))}

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
    "The words of a page, for the search; tags inside words, as in coloured code, leave no gap"
    text = re.sub(r'(?s)<(style|script|annotation).*?</\1>', '', body)
    return re.sub(r'\s+', ' ', html.unescape(re.sub(r'<[^>]+>', ' ',
                                                    re.sub(r'</?(span|a|code|strong|em)\b[^>]*>', '', text)))).strip()

def write(out):
    "Render all pages, the search index and the styles into `out`"
    site, template = pages(), (root/'tools/website.html').read_text()
    shutil.rmtree(out, ignore_errors=True)
    for page in site.values():
        title = page.meta.get('title', 'aligntune')
        toc = ''.join(f'<li class={t}><a href="#{i}">{html.escape(h)}</a></li>' for t, i, h in page.headings)
        parts = dict(title=html.escape(title), description=html.escape(page.meta.get('description', '')),
                     nav=_nav(site, page.url), toc=toc, body=_links(page), top=_relative(page.url, '.'))
        f = out/page.url; f.parent.mkdir(parents=True, exist_ok=True)
        f.write_text(re.sub(r'\{\{(\w+)\}\}', lambda m: parts[m[1]], template))
    index = [dict(u=p.url, t=p.meta.get('title', ''), x=_plain(p.body)[:100000]) for p in site.values()]
    (out/'search.js').write_text('window.PAGES = ' + json.dumps(index, ensure_ascii=False) + ';\n')
    for f in (root/'_proc').rglob('*'):
        if f.is_file() and f.suffix not in ('.ipynb', '.yml', '.scss'):
            (out/f.relative_to(root/'_proc')).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f, out/f.relative_to(root/'_proc'))
    return site

if __name__ == '__main__':
    if '--sidebar' in sys.argv: (root/'nbs/sidebar.yml').write_text(sidebar()); sys.exit()
    problems = process()
    site = write(root/'_docs')
    print('\n'.join(problems) or f'{len(site)} pages in _docs, start with _docs/index.html')
    sys.exit(bool(problems))
