"""Every algorithm on TRL and Unsloth, parity, 4-bit, memory and speed, on this machine's GPU.

Models have real shapes and random weights. No network.

    python tools/gpu_check.py                    under 8 minutes on an NVIDIA GPU; writes nbs/bench/gpu_<name>.json, .md
    python tools/gpu_check.py --tiny --out DIR   the same on a CPU with a tiny model: does the check itself work?

A plain checkout is enough: PYTHONPATH may name folders of unzipped wheels."""
import argparse, json, os, platform, sys, tempfile, time
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

root = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(root))
os.environ.setdefault('HF_HUB_OFFLINE', '1')

PACKAGES = ('torch', 'transformers', 'trl', 'peft', 'datasets', 'accelerate', 'bitsandbytes', 'unsloth', 'unsloth_zoo',
            'triton', 'flash_attn', 'xformers')
SHAPES = {  # published shapes; the weights are random
    '0.5B': dict(kind='qwen2', vocab_size=151936, hidden_size=896, intermediate_size=4864,
                 num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, max_position_embeddings=32768,
                 tie_word_embeddings=True),
    '1B': dict(kind='llama', vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
               num_attention_heads=32, num_key_value_heads=8, head_dim=64, max_position_embeddings=32768,
               tie_word_embeddings=True)}
TINY = dict(kind='qwen2', vocab_size=400, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True)
ALGORITHMS = ('sft', 'dpo', 'grpo', 'dapo', 'dr_grpo', 'ppo')
LORA = dict(use_peft=True, lora_r=16, lora_alpha=32, lora_dropout=0.0, logging_steps=1, progress='none',
            save_strategy='no')

def make_model(folder, shape):
    "A folder with a model of `shape`, random weights in bf16, and a small byte-level tokenizer"
    import torch, transformers
    from aligntune.data.tiny import tiny_tokenizer
    shape = dict(shape)
    tok = tiny_tokenizer('chatml', 'byte', context=shape['max_position_embeddings'])
    ends = dict(bos_token_id=None, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id)
    config = transformers.AutoConfig.for_model(shape.pop('kind'), **shape, **ends)
    torch.manual_seed(0)
    with torch.device('cuda' if torch.cuda.is_available() else 'cpu'):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.generation_config = transformers.GenerationConfig.from_model_config(config)
    model.save_pretrained(folder); tok.save_pretrained(folder)
    del model
    if torch.cuda.is_available(): torch.cuda.empty_cache()
    return str(folder)

def variety(completions): return [float(len(set(c)))/8 for c in completions]

def data(algorithm, n, words):
    "Rows of about `words` words for an algorithm"
    import random
    r = random.Random(0)
    say = lambda k: ' '.join(''.join(r.choice('abcdefgh') for _ in range(5)) for _ in range(k))
    if algorithm == 'sft':
        return [dict(prompt=say(words//4), completion=say(r.randint(words//4, words))) for _ in range(n)]
    if algorithm == 'dpo':
        return [dict(prompt=say(words//4), chosen=say(words//2), rejected=say(words//2)) for _ in range(n)]
    return [dict(prompt=say(words//4)) for _ in range(n)]

def settings(algorithm, model, a, **kw):
    "A request, without its backend"
    own = (dict(reward_functions=[variety], max_completion_length=a.answer, num_generations=4)
           if algorithm not in ('sft', 'dpo') else {})
    if algorithm == 'ppo': own.pop('num_generations')
    return dict(algorithm=algorithm, model_name=model, dataset_name=data(algorithm, 64*8, a.words), batch_size=8,
                learning_rate=1e-5, max_steps=a.steps, precision=a.precision, **LORA, **own) | kw

def peak(): # runs in the child
    import torch
    if not torch.cuda.is_available(): return None
    torch.cuda.synchronize()
    found = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return found

def one(what, asked, backend, child, home):
    "One training in a process of its backend: a row of the table"
    from aligntune.backends.isolation import Isolated
    from aligntune.backends.trl import Session
    from aligntune.backends.unsloth import UnslothSession
    from aligntune.core.plan import make_plan
    from aligntune.core.spec import TrainSpec
    spec = TrainSpec.parse(**asked, backend=backend, output_dir=str(Path(home, f'run{time.time_ns()}')),
                           allow_fallback=False)
    session = Isolated({'trl': Session, 'unsloth': UnslothSession}[backend](spec, make_plan(spec)), child)
    session.load()
    child.call(0, 'run', peak)
    r = session.train()
    memory = child.call(0, 'run', peak)
    child.call(session.number, 'drop')
    return dict(what=what, backend=backend, steps=r.steps, seconds=round(r.training_time, 2), loss=r.final_loss,
                grad_norm=r.history[0].get('grad_norm'), tokens_per_second=r.metrics.get('trained_tokens_per_second'),
                peak_gib=None if memory is None else round(memory/2**30, 2))

def machine():
    "Hardware and versions"
    import torch
    from aligntune.core.hardware import Probe, hardware
    hw = hardware(Probe(patience=5))
    def number(name):
        try: return version(name)
        except PackageNotFoundError: return None
    return dict(date=str(date.today()), gpu=', '.join(hw.names) or None,
                memory_gib=[m and round(m/2**30, 1) for m in hw.memory], driver=hw.driver or None,
                cuda=torch.version.cuda, compute_capability=hw.compute_capability or None, cpu=hw.cpu,
                cores=hw.cpu_count, python=platform.python_version(), packages={n: number(n) for n in PACKAGES})

def markdown(result):
    "The result as a page"
    from aligntune.bench.parity import parity_table as table
    m, lines = result['machine'], []
    lines += [f"# GPU check, {m['date']}" + (', dry: tiny models, on a CPU' if result['tiny'] else ''), '',
              f"{m['gpu'] or 'no GPU: ' + m['cpu']}; driver {m['driver']}, CUDA {m['cuda']}, Python {m['python']}.", '',
              ', '.join(f'{n} {v}' for n, v in m['packages'].items() if v), '',
              'Random weights in real shapes: speed and memory are real, '
              'losses say only that both backends compute the same.', '', '## Trainings', '',
              '| training | backend | steps | seconds | trained tokens/s | peak GiB | last loss |',
              '|---|---|---|---|---|---|---|']
    show = lambda x: '' if x is None else f'{x:.4g}' if isinstance(x, float) else str(x)
    lines += ['| ' + ' | '.join(show(r.get(k)) for k in ('what', 'backend', 'steps', 'seconds', 'tokens_per_second',
                                                         'peak_gib', 'loss')) + ' |' for r in result['trainings']]
    if result['parity']: lines += ['', '## Parity', '', table(result['parity'])]
    if result['faults']:
        lines += ['', '## Faults', '', *(f"- {f['what']} on {f['backend']}: {f['error']}" for f in result['faults'])]
    if result['not_run']: lines += ['', f"Not run, the time was over: {', '.join(result['not_run'])}"]
    return '\n'.join(lines + ['', f"{result['seconds']:.0f} s in all.", ''])

def cases(a, models):
    "(name, backend, work) of everything, the most telling first"
    from aligntune.bench.parity import compare_backends as compare
    small, large = models['0.5B'], models['1B']
    both = ('trl', 'unsloth')
    for algorithm in ALGORITHMS:
        for b in both:
            yield (f'{algorithm}, LoRA, 0.5B', b, lambda home, c, algorithm=algorithm,
                   b=b: one(f'{algorithm}, LoRA, 0.5B', settings(algorithm, small, a), b, c[b], home))
    yield ('gspo, LoRA, 0.5B', 'trl', lambda home,
           c: one('gspo, LoRA, 0.5B', settings('gspo', small, a), 'trl', c['trl'], home))
    for algorithm in ('sft', 'dpo', 'grpo'):
        yield (f'parity {algorithm}', 'both', lambda home, c,
               algorithm=algorithm: compare(settings(algorithm, small, a), steps=a.parity, child=c['unsloth']))
    for name, kw in (('sft, LoRA, 1B', {}), ('sft, QLoRA, 1B', dict(load_in_4bit=True))):
        for b in both:
            yield (name, b, lambda home, c, name=name, kw=kw,
                   b=b: one(name, settings('sft', large, a, **kw), b, c[b], home))
    yield ('parity sft fp32', 'both', lambda home,
           c: compare(settings('sft', small, a, precision='fp32', dtype='float32'), steps=a.parity, child=c['unsloth']))

def main():
    "Run all cases within the time, and write the two files"
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--out', default=str(root/'nbs'/'bench'), help='folder of the two files')
    p.add_argument('--minutes', type=float, default=7.5, help='no case starts later than this')
    p.add_argument('--steps', type=int, default=6)
    p.add_argument('--parity', type=int, default=20)
    p.add_argument('--words', type=int, default=120)
    p.add_argument('--answer', type=int, default=32)
    p.add_argument('--tiny', action='store_true', help='a tiny model in fp32; on a CPU')
    a = p.parse_args()
    import torch
    if not torch.cuda.is_available() and not a.tiny:
        print('no NVIDIA GPU that torch can drive: nothing checked (--tiny tries the check itself on a CPU)'); return 2
    if a.tiny:
        os.environ.setdefault('UNSLOTH_FORCE_CPU', '1')
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
        a.steps, a.parity, a.words, a.answer = 2, 3, 12, 8
    a.precision = 'fp32' if a.tiny else 'bf16' if torch.cuda.is_bf16_supported() else 'fp16'
    from aligntune.backends.isolation import BackendProcess
    from aligntune.bench.parity import Parity
    start, result = time.time(), dict(tiny=a.tiny, machine=machine(), trainings=[], parity=[], faults=[], not_run=[])
    with tempfile.TemporaryDirectory() as home:
        models = {n: make_model(Path(home, n), TINY if a.tiny else s) for n, s in SHAPES.items()}
        children = {b: BackendProcess(b) for b in ('trl', 'unsloth')}
        for name, backend, work in cases(a, models):
            if time.time() - start > a.minutes*60: result['not_run'].append(f'{name} ({backend})'); continue
            try: got = work(home, children)
            except Exception as e:   # a fault of one case is a result; the others still count
                result['faults'].append(dict(what=name, backend=backend,
                                             error=f'{type(e).__name__}: {" ".join(str(e).split())[:400]}'))
                got = None
            if isinstance(got, Parity): result['parity'].append(got)
            elif got: result['trainings'].append(got)
            same = not isinstance(got, Parity) or got.ok
            outcome = 'FAULT ' + result['faults'][-1]['error'][:150] if got is None else 'ok' if same else 'DIFFERENT'
            print(f'{time.time() - start:6.1f} s  {name:20} {backend:8} {outcome}', flush=True)
        for c in children.values(): c.close()
    result['seconds'] = time.time() - start
    out = Path(a.out); out.mkdir(parents=True, exist_ok=True)
    name = 'gpu_' + '_'.join((result['machine']['gpu'] or 'none').split(',')[0].lower().split())
    (out/f'{name}.md').write_text(markdown(result), encoding='utf-8')
    plain = result | dict(parity=[dict(vars(r), gaps=r.gaps, ok=r.ok) for r in result['parity']])
    (out/f'{name}.json').write_text(json.dumps(plain, indent=1), encoding='utf-8')
    print(f"wrote {name}.md and {name}.json in {out}")
    return int(bool(result['faults'] or result['not_run']) or not all(r.ok for r in result['parity']))

if __name__ == '__main__': sys.exit(main())
