"""Every code block of the implemented documentation runs as it stands, on data sets with their true columns;
what the walkthroughs read, which is trained on a GPU only, is read from such data sets too.

    python tools/check_snippets.py [--limit S] [--workers N] [NAME ...]

Each runs in a process of its own, in a fresh folder, forked from one that has imported the libraries. A training must
end as a finished run with a finite loss and changed weights; a refusal must say why."""
import argparse, contextlib, json, math, os, re, shutil, signal, sys, tempfile, time, traceback
from pathlib import Path
from common import cells, notebooks, report, root, warm

os.environ |= dict(HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false', OMP_NUM_THREADS='1', NUMBA_DISABLE_JIT='1',
                   PYTHONPATH=str(root))
ROWS = 12   # of each data set

def world(folder):
    """Tiny models and data sets under the names that the blocks use.

    Random weights of one layer with a few hundred tokens, so nothing is said of what is learned; a model called
    bnb-4bit holds no 4-bit weights; texts are made up; nothing comes from a hub."""
    from aligntune.core.noise import no_bars
    from aligntune.data.tiny import save_tiny, tiny_model, tiny_tokenizer
    from aligntune.data.zoo import messages, numbered, save_zoo
    small = dict(hidden=32, layers=1, context=1024)
    with contextlib.chdir(folder):
        tokenizer = tiny_tokenizer('base', context=1024)
        model = tiny_model('gpt2', tokenizer, **small)
        # as DialoGPT: no pad token, no chat template
        tokenizer.pad_token = model.config.pad_token_id = model.generation_config.pad_token_id = None
        with no_bars(): model.save_pretrained('microsoft/DialoGPT-small')
        tokenizer.save_pretrained('microsoft/DialoGPT-small')
        for name in ('model', 'unsloth/model-bnb-4bit', 'unsloth/Llama-3.2-1B-Instruct-bnb-4bit'):
            save_tiny(name, 'llama', **small)
        save_tiny('your-reward-model', 'llama', task='classify', num_labels=1, **small)
        assert [*save_zoo('.', 'tatsu-lab/alpaca', 'Anthropic/hh-rlhf', n=ROWS)]
        rows = [numbered(dict(messages=messages()), i) for i in range(ROWS)]
        Path('data.jsonl').write_text(''.join(json.dumps(r) + '\n' for r in rows))

def weights(folder):
    "The saved tensors of a model or an adapter, by name"
    from safetensors.torch import load_file
    return {k: t for f in sorted(Path(folder).glob('*.safetensors')) for k, t in load_file(f).items()}

def changed(folder, model):
    "Whether the saved weights differ from those of the model; an adapter does where it is not zero, as at its start"
    new, old = weights(folder), weights(model)
    adapter = [t for k, t in new.items() if 'lora_B' in k]
    if adapter: return any(t.any() for t in adapter)
    return any(new[k].shape != old[k].shape or (new[k].float() != old[k].float()).any()
               for k in new.keys() & old.keys())

def trained(snippet):
    "What is wrong with the run that a block leaves, if anything"
    from aligntune.run.manifest import Manifest
    manifest = Manifest.read(snippet.folder)
    if manifest is None: return f'it left no run in {snippet.folder}'
    result = manifest.get('result') or {}
    if not manifest.finished: return f'the run in {snippet.folder} is {manifest.get("status")}'
    if result.get('total_steps') != snippet.steps:
        return f'it took {result.get("total_steps")} steps, {snippet.steps} were expected'
    if not math.isfinite(result.get('final_loss') or math.nan): return f'its final loss is {result.get("final_loss")}'
    if not changed(result['model_path'], snippet.model):
        return f'the weights in {result["model_path"]} are those of {snippet.model}'

def attempt(snippet):
    "Run a block here, and say what is wrong, if anything"
    from aligntune.core.errors import AligntuneError
    with contextlib.redirect_stdout(open('stdout', 'w+')) as out:
        try: exec(compile(snippet.code, 'snippet', 'exec'), dict(__name__='__main__'))
        except AligntuneError as e:
            if not snippet.refused: raise
            missing = [w for w in snippet.refused if w.lower() not in str(e).lower()]
            return f'it is refused without the word {missing[0]}: {e}' if missing else None
        out.flush()
    if snippet.refused: return 'it is not refused'
    printed = Path('stdout').read_text()
    silent = [p for p in snippet.prints if p not in printed]
    if silent: return f'it does not print {silent[0]!r} but {printed!r}'
    return trained(snippet) if snippet.model else None

def child(snippet, folder, log):
    "The forked process of one block"
    os.setpgid(0, 0)
    for stream in (1, 2): os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.chdir(folder)
    os.environ |= dict(ALIGNTUNE_CACHE=str(folder/'rows'), TMPDIR=str(folder))
    try: problem = attempt(snippet)
    except BaseException: problem = traceback.format_exc()
    if problem: (folder/'problem').write_text(problem)
    sys.stdout.flush(); os._exit(bool(problem))

def run(snippets, place, limit, workers):
    "Run blocks, some at a time; {name: problems}"
    todo, running, results = dict(snippets), {}, {}
    while todo or running:
        while todo and len(running) < workers:
            name = next(iter(todo)); snippet = todo.pop(name)
            folder = place/f'run{len(results) + len(running)}'
            shutil.copytree(place/'world', folder)
            log = folder/'log'; log.touch()
            pid = os.fork()
            if not pid: child(snippet, folder, log)
            running[pid] = name, folder, log, time.time()
        time.sleep(.05)
        for pid, (name, folder, log, start) in list(running.items()):
            done, status, used = os.wait4(pid, os.WNOHANG)
            took = time.time() - start
            if not done and took < limit: continue
            if not done: os.killpg(pid, signal.SIGKILL); os.waitpid(pid, 0)
            problem = f'stopped after {limit} s' if not done else f'died with status {status}' if status else ''
            if (folder/'problem').exists(): problem = (folder/'problem').read_text()
            results[name] = [f'{name}: {problem}\n{log.read_text()[-2000:]}'] if problem else []
            del running[pid]
            print(f'{"FAILED" if results[name] else "ok":6} {took:5.1f} s, '
                  f'{used.ru_utime + used.ru_stime:4.1f} s of a core  {name}', flush=True)
    return results

def for_real(path):
    "What a walkthrough sets where it is no test: its variables, and the tasks of its algorithms"
    from aligntune.data.formats import task_of
    code, space = [c['source'] for c in cells(path) if c['cell_type'] == 'code'], {}
    swap = next((i for i, c in enumerate(code) if 'swap_in_test(' in c), None)
    if swap is None: raise ValueError(f'{path}: it has no cell with swap_in_test')
    exec(compile(code[swap - 1], str(path), 'exec'), space)   # the cell before it holds the settings
    text = '\n'.join(code)
    named = [a or b for a, b in re.findall(r"algorithm='(\w+)'|algorithms = \['(\w+)'", text)]
    kind = 'text_classification' if "task_type='text_classification'" in text else None
    return space, {task_of(a, kind) for a in named or ['sft']}

def walkthroughs(folder):
    "{walkthrough: problems} of reading the data sets that they name"
    from aligntune.core.errors import AligntuneError
    from aligntune.data.recognise import recognise
    from aligntune.data.sources import read
    from aligntune.data.zoo import ZOO, save_zoo
    results = {}
    with contextlib.chdir(folder):
        for path in (p for p in notebooks() if p.parts[1] == 'walkthroughs'):
            space, tasks = for_real(path)
            values = [v for k, x in space.items() if k != '__builtins__'
                      for v in ({k: x} if isinstance(x, str) else x if isinstance(x, dict) else {}).items()]
            names = sorted({v for _, v in values if isinstance(v, str) and v in ZOO})
            unknown = [v for k, v in values if k in ('dataset_name', 'path', 'dataset') and '/' in v and v not in ZOO]
            results[path.stem] = [f'{path}: the zoo has no {v}, so nobody knows what is read from it' for v in unknown]
            for name in [*save_zoo('.', *names)] if names else []:
                subset = dict(values).get('subset') if ZOO[name].config else None
                for task in tasks:
                    try: recognise(read(name, task=task, subset=subset), task)
                    except AligntuneError as e: results[path.stem].append(f'{path}: {name} for {task}: {e}')
            if names: print(f'read           {path.stem}: {", ".join(names)}')
    return results

if __name__ == '__main__':
    from documented import SNIPPETS
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('names', nargs='*')
    ap.add_argument('--limit', type=int, default=300)
    ap.add_argument('--workers', type=int, default=min(os.cpu_count() or 1, 2))
    a = ap.parse_args()
    if unknown := set(a.names) - SNIPPETS.keys():
        sys.exit(f'no snippet called {", ".join(unknown)}; there are: {", ".join(SNIPPETS)}')
    warm()
    with tempfile.TemporaryDirectory(prefix='snippets-') as d:
        (Path(d)/'world').mkdir()
        world(Path(d)/'world')
        results = run({n: SNIPPETS[n] for n in a.names or SNIPPETS}, Path(d), a.limit, a.workers)
        if not a.names: results |= walkthroughs(Path(d))
    report(results, f'{len(results)} blocks and walkthroughs')
