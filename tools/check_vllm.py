"""vLLM itself on this machine's processor: engines, updates, gradients, resume, adapters, a server that dies.

    make test-vllm                                   # builds .venv-vllm and runs this
    ALIGNTUNE_VLLM=/path/to/python python3 tools/check_vllm.py [CASE ...]   # an interpreter that has vLLM

Each case runs in a process of its own. What `make test` shows with a stand-in is shown here with vLLM; what neither
shows (GPUs, compiled kernels, tensor parallelism, quantised weights) is in nbs/emulation/10_vllm.ipynb.
"""
import contextlib, json, os, socket, subprocess, sys, tempfile, time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
OWN = dict(OMP_NUM_THREADS='1', VLLM_CPU_KVCACHE_SPACE='1', VLLM_CPU_OMP_THREADS_BIND='nobind',
           VLLM_LOGGING_LEVEL='ERROR', PYTHONPATH=str(HERE), TOKENIZERS_PARALLELISM='false')
CASES: dict = {}
SAME = 1e-5   # of log-probabilities in float32, through two layers


def case(f):
    "Register a case by the name of its function"
    CASES[f.__name__] = f
    return f


def parts():
    "A tokenizer, and a function that makes a small model with heads that vLLM knows"
    from peft import LoraConfig, get_peft_model
    from aligntune.data.tiny import tiny_model, tiny_tokenizer
    tokenizer = tiny_tokenizer()
    def fresh(adapter=False, seed=0):
        model = tiny_model('llama', tokenizer, hidden=128, heads=4, seed=seed).eval()
        lora = LoraConfig(r=4, target_modules='all-linear', task_type='CAUSAL_LM')
        return get_peft_model(model, lora).eval() if adapter else model
    return tokenizer, fresh


def many_tokens(text): return float(len(text) % 7)


def trainer(algorithm, model, tokenizer, **kw):
    "A trainer whose answers vLLM generates"
    import importlib
    from aligntune.algorithms.tasks import lesson
    from aligntune.core.facts import facts_of
    from aligntune.core.noise import quiet
    rows = [dict(prompt=f'{i}+{i}=') for i in range(16)]
    given = dict(rollout='vllm', optimizer='sgd', learning_rate=.05, max_steps=3, max_completion_length=8, batch_size=8,
                 vllm_gpu_memory_utilization=.1)
    if facts_of(algorithm).compares_groups: given |= dict(num_generations=4)
    session = lesson(algorithm, model, tokenizer, rows, rows[:4], rewards=[many_tokens], **given | kw)
    with quiet(): return importlib.import_module(f'aligntune.algorithms.{algorithm}').make_trainer(session)


def mismatches(t):
    "The mismatch of every rollout that was logged"
    from aligntune.engine.rollout_engines import MISMATCH
    return [h[MISMATCH] for h in t.state.log_history if MISMATCH in h]


def weights(t): return {k: v.detach().clone() for k, v in t.model.state_dict().items()}


def same(a, b):
    import torch
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def free_port():
    "A port that nobody uses"
    with socket.socket() as s:
        s.bind(('localhost', 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def serving(folder, adapter=False):
    "A vLLM server of a model on disk; its process and its address"
    port = free_port()
    command = [str(Path(sys.executable).parent/'vllm'), 'serve', str(folder), '--dtype', 'float32', '--enforce-eager',
               '--logprobs-mode', 'processed_logprobs', '--max-model-len', '256', '--port', str(port)]
    if adapter: command += ['--enable-lora', '--max-lora-rank', '8']
    more = dict(VLLM_SERVER_DEV_MODE='1', VLLM_ALLOW_RUNTIME_LORA_UPDATING='1')
    with open(Path(folder)/'server.log', 'w') as log:
        process = subprocess.Popen(command, env=os.environ | more, stdout=log, stderr=log, start_new_session=True)
    try: yield process, f'http://localhost:{port}'
    finally: end(process)


def end(process):
    "End a server with the processes that it started"
    with contextlib.suppress(ProcessLookupError): os.killpg(process.pid, 9)
    process.wait()


@case
def engine():
    "In the process: the check that every engine must pass, with all weights and with an adapter"
    from aligntune.engine.rollout_engines import check_engine
    from aligntune.engine.vllm import VLLMInProcess, VLLMSettings
    tokenizer, fresh = parts()
    for adapter in (False, True):
        vllm = VLLMInProcess(VLLMSettings(lora_rank=8*adapter, share=.1))
        held = check_engine(vllm, fresh(adapter), tokenizer, most=SAME)
        yield f"{'adapter' if adapter else 'all weights'}: {max(h.logps for h in held):.1e}"


@case
def server():
    "By HTTP: the same"
    from aligntune.engine.rollout_engines import check_engine
    from aligntune.engine.vllm import VLLMServer, VLLMSettings
    tokenizer, fresh = parts()
    for adapter in (False, True):
        with tempfile.TemporaryDirectory() as home:
            fresh(seed=7).save_pretrained(home)   # the server begins with other weights
            tokenizer.save_pretrained(home)
            with serving(home, adapter) as (_, url):
                settings = VLLMSettings(url=url, lora_rank=8*adapter, folder=f'{home}/sync')
                held = check_engine(VLLMServer(settings), fresh(adapter), tokenizer, most=SAME)
            assert not Path(home, 'sync').exists(), 'weights were left behind'
        yield f"{'adapter' if adapter else 'all weights'}: {max(h.logps for h in held):.1e}"


@case
def updates():
    "GRPO: the tokens of each of three updates come from the weights before it, with all weights and with an adapter"
    from aligntune.engine.decode import DecodeConfig, TokenSampler
    from aligntune.engine.rollout_engines import held_against
    tokenizer, fresh = parts()
    for adapter in (False, True):
        more = dict(use_peft=True, lora_r=4, learning_rate=3.) if adapter else {}
        t = trainer('grpo', fresh(adapter), tokenizer, **more)
        before = weights(t)
        t.train()
        far, run = mismatches(t), t.generation.engine
        assert len(far) == 3 and max(far) < SAME and run.syncs == 4, (far, run.syncs)   # the last for the evaluation
        prompts = [[5, 6, 7]]*4   # held against the weights before the updates, its answers would be told
        found = run.write(t.model, prompts, DecodeConfig(TokenSampler(), 8), [], 99)
        now = held_against(t.model, prompts, found).logps
        moved = weights(t)
        t.model.load_state_dict(before)
        stale = held_against(t.model, prompts, found).logps
        t.model.load_state_dict(moved)
        assert now < SAME < stale/10, (now, stale)
        yield f"{'adapter' if adapter else 'all weights'}: {max(far):.0e}; held against the first weights {stale:.0e}"
        run.stop()


@case
def gradient():
    "One step of plain descent through train(): the weights move by the formula's gradient over vLLM's tokens"
    from aligntune.algorithms import grpo
    from aligntune.algorithms.tasks import lesson, step_against
    tokenizer, fresh = parts()
    def formula(logp, old, ref, A, mask): return -(((logp - old).exp()*A[:, None]*mask).sum(1)/mask.sum(1)).mean()
    rows = [dict(prompt=f'{i}+{i}=') for i in range(16)]
    session = lesson('grpo', fresh(), tokenizer, rows, rewards=[many_tokens], rollout='vllm', optimizer='sgd',
                     learning_rate=.1, max_grad_norm=0., max_steps=1, num_generations=4, batch_size=8,
                     max_completion_length=8, beta=0., vllm_gpu_memory_utilization=.1)
    step = step_against(session, grpo.make_trainer, formula)
    assert step.off < 1e-4 and step.size > 1e-4, (step.off, step.size)
    yield f'the weights moved by {step.size:.4f}, {step.off:.0e} off the formula'


def _resumed(algorithm, adapter):
    "Weights of a run, and of the same run killed after its second update and resumed"
    import torch
    tokenizer, fresh = parts()
    with tempfile.TemporaryDirectory() as home:
        more = dict(output_dir=home, save_strategy='steps', save_steps=1, save_total_limit=None, max_steps=4)
        if adapter: more |= dict(use_peft=True, lora_r=4)
        torch.manual_seed(0)
        t = trainer(algorithm, fresh(adapter), tokenizer, **more)
        t.train()
        whole = weights(t)
        running(t).stop()
        torch.manual_seed(1)
        t = trainer(algorithm, fresh(adapter), tokenizer, **more)
        t.train(resume_from_checkpoint=f'{home}/checkpoint-2')
        again = weights(t)
        running(t).stop()
    return whole, again


def running(t): return t.generation.engine if hasattr(t, 'generation') else t.sampler.engine


@case
def resume():
    "Killed and resumed: the same weights, bit for bit"
    for algorithm, adapter in (('grpo', False), ('grpo', True), ('ppo', False)):
        whole, again = _resumed(algorithm, adapter)
        assert same(whole, again), f'{algorithm} ends with other weights'
        yield f"{algorithm}{', adapter' if adapter else ''}: equal"


@case
def algorithms():
    "GSPO, DAPO with dynamic sampling, Dr. GRPO and PPO train, evaluate, and log the mismatch"
    tokenizer, fresh = parts()
    for algorithm in ('gspo', 'dapo', 'dr_grpo', 'ppo'):
        # a random model ends no answer, and DAPO leaves cut ones out
        more = dict(mask_truncated_completions=False) if algorithm == 'dapo' else {}
        t = trainer(algorithm, fresh(), tokenizer, max_steps=2, **more)
        t.train()
        found = t.evaluate()
        far = mismatches(t)
        assert far and 0 < max(far) < SAME and 'eval_reward' in found, (algorithm, far, found)
        yield f"{algorithm}: {max(far):.0e}, eval_reward {found['eval_reward']:.2f}"
        running(t).stop()


@case
def dead():
    "A server that dies: one named error; the run goes on from its checkpoint with another"
    from transformers import TrainerCallback
    from aligntune.core.errors import EngineError
    tokenizer, fresh = parts()
    with tempfile.TemporaryDirectory() as home:
        fresh(seed=7).save_pretrained(home)
        tokenizer.save_pretrained(home)
        more = dict(output_dir=f'{home}/run', save_strategy='steps', save_steps=1, max_steps=4, vllm_mode='server',
                    vllm_server_timeout=120.)
        with serving(home) as (process, url):
            t = trainer('grpo', fresh(), tokenizer, vllm_server_base_url=url, **more)
            class Kill(TrainerCallback):
                def on_step_end(self, args, state, control, **kw):
                    if state.global_step == 2: end(process)
            t.add_callback(Kill())
            try: t.train()
            except EngineError as e: yield f'{e.what}: {e.why[:60]}'
            else: raise AssertionError('a dead server was not noticed')
        assert t.state.global_step == 2, t.state.global_step
        with serving(home) as (_, url):
            t = trainer('grpo', fresh(), tokenizer, vllm_server_base_url=url, **more)
            t.train(resume_from_checkpoint=f'{home}/run/checkpoint-2')
        far = mismatches(t)
        assert t.state.global_step == 4 and max(far) < SAME, far
        yield f'resumed, {max(far):.0e}'


def _rank():
    "One of two processes: the mismatches, the answers to one prompt, the sum of the weights"
    from aligntune.engine.decode import DecodeConfig, TokenSampler
    tokenizer, fresh = parts()
    url = os.environ.get('SERVER')
    there = dict(vllm_mode='server', vllm_server_base_url=url, vllm_server_timeout=120.) if url else {}
    t = trainer('grpo', fresh(), tokenizer, batch_size=4, save_strategy='no', output_dir=os.environ['RANKS'], **there)
    t.train()
    answers = running(t).write(t.model, [[5, 6, 7]]*4, DecodeConfig(TokenSampler(), 8), [], 3).tokens
    total = sum(p.double().sum().item() for p in t.model.parameters())
    found = [t.accelerator.num_processes, max(mismatches(t)), answers, total]
    Path(os.environ['RANKS'], f"rank{os.environ['RANK']}.json").write_text(json.dumps(found))
    return []


def _two(**env):
    "What two processes found"
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--master_port',
               str(free_port()), __file__, '--case', '_rank']
    with tempfile.TemporaryDirectory() as home:
        run = subprocess.run(command, env=os.environ | dict(RANKS=home, **env), capture_output=True, text=True,
                             timeout=600)
        found = [json.loads(p.read_text()) for p in Path(home).glob('rank*.json')]
    assert len(found) == 2, run.stdout[-3000:] + run.stderr[-3000:]
    (n, far, first, total), (_, far2, second, total2) = found
    assert n == 2 and max(far, far2) < SAME and first != second and total == total2, found
    return f'{max(far, far2):.0e}, other answers, equal weights'


@case
def processes():
    "Two processes, each with an engine or both with one server: random numbers of their own, the same weights"
    yield f'engines: {_two()}'
    tokenizer, fresh = parts()
    with tempfile.TemporaryDirectory() as home:
        fresh(seed=7).save_pretrained(home)
        tokenizer.save_pretrained(home)
        with serving(home) as (_, url): yield f'a server: {_two(SERVER=url)}'


@case
def whole():
    "create_rl_trainer, from a model and a file on disk: plan, log, training, evaluation, prediction by the engine"
    import logging
    from aligntune import create_rl_trainer
    tokenizer, fresh = parts()
    with tempfile.TemporaryDirectory() as home:
        fresh().save_pretrained(f'{home}/model')
        tokenizer.save_pretrained(f'{home}/model')
        rows = [json.dumps(dict(prompt=f'{i}+{i}=', answer=str(2*i))) for i in range(16)]
        Path(home, 'rows.jsonl').write_text('\n'.join(rows))
        said: list = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())
        logging.getLogger('aligntune').addHandler(handler)
        for algorithm in ('grpo', 'ppo'):
            t = create_rl_trainer(f'{home}/model', f'{home}/rows.jsonl', algorithm, backend='trl', device='cpu',
                                  reward_functions=[many_tokens], rollout='vllm', use_peft=True, lora_r=4, max_steps=2,
                                  batch_size=8, max_completion_length=8, output_dir=f'{home}/{algorithm}', guards=False,
                                  vllm_gpu_memory_utilization=.1, eval_dataset=f'{home}/rows.jsonl')
            assert 'vllm, as requested' in t.plan.explain(), t.plan.explain()
            t.train()
            engine = t.session.trainer.engine
            before, calls = engine.syncs, []
            real = engine.engine.write
            engine.engine.write = lambda *args: calls.append(args) or real(*args)
            by_vllm = t.predict(['1+1=', '2+2='], max_new_tokens=6)
            engine.started = False
            ours = t.predict(['1+1=', '2+2='], max_new_tokens=6)
            engine.started = True
            assert len(calls) == 1 and by_vllm == ours, (calls, by_vllm, ours)
            engine.stop()
            yield f'{algorithm}: {before} synchronisations, predicted {by_vllm}'
        told = [x for x in said if 'generat' in x]
        assert any('generation: vllm' in x for x in told) and not any('by transformers' in x for x in told), told
        yield next(x for x in told if x.startswith('vLLM'))


def main(names):
    "Run cases, each in a process of the interpreter that has vLLM"
    python = os.environ.get('ALIGNTUNE_VLLM') or sys.exit('ALIGNTUNE_VLLM names no interpreter that has vLLM')
    failed = 0
    for name in names or CASES:
        start = time.monotonic()
        run = subprocess.run([python, __file__, '--case', name], env=os.environ | OWN, capture_output=True, text=True,
                             timeout=900)
        failed += run.returncode != 0
        what = 'FAILED' if run.returncode else 'ok    '
        print(f'{what} {time.monotonic() - start:5.0f} s  {name}: {CASES[name].__doc__}', flush=True)
        told = [x[2:] for x in run.stdout.splitlines() if x.startswith('> ')]
        print(*(f'         {x}' for x in told), sep='\n', flush=True)
        if run.returncode: print(run.stdout[-2000:], run.stderr[-4000:], sep='\n')
    print(f'{len(names or CASES) - failed} passed, {failed} failed')
    return failed


if __name__ == '__main__':
    if sys.argv[1:2] == ['--case']:
        for said in (CASES | dict(_rank=_rank))[sys.argv[2]](): print('>', said, flush=True)
        sys.stdout.flush()
        os._exit(0)   # vLLM's threads and groups are not waited for
    sys.exit(bool(main(sys.argv[1:])))
