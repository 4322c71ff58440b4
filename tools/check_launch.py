"""The files of `aligntune launch`, read by each scheduler's own client, and run where one machine can run them.

    make test-launch [CASE=slurm]       # builds .venv-launch, with the clients, and runs this

Kubeflow's models and SkyPilot's Task read what was written; a cluster and a cloud are not here. Ray runs for real, with
two workers. For Slurm tools/slurm_stand_in.py stands in: it starts real processes, which meet through torchrun."""
import contextlib, hashlib, json, os, shlex, signal, subprocess, sys, tempfile, time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
os.environ |= dict(PYTHONPATH=str(HERE), OMP_NUM_THREADS='1', HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false',
                   PYTHONUNBUFFERED='1')
CASES: dict = {}
PATIENCE = 900   # seconds after which a training is taken for stuck
PASSED_ON = 'env=PYTHONPATH,OMP_NUM_THREADS,HF_HUB_OFFLINE'
CONFIG = '''model_name: ./tiny/blank
dataset_name: ./tiny/answers.jsonl
batch_size: 8
learning_rate: 3.0e-3
save_strategy: steps
save_steps: 20
logging_steps: 1
progress: none
'''


def case(f):
    "Register a case by the name of its function"
    CASES[f.__name__] = f
    return f


def run(*words, **env):
    "A command; what it prints"
    r = subprocess.run(words, capture_output=True, text=True, env=os.environ | env)
    assert not r.returncode, f'{shlex.join(words)} ended with {r.returncode}:\n{r.stdout[-3000:]}\n{r.stderr[-3000:]}'
    return r.stdout


def aligntune(*words, **env): return run(sys.executable, '-m', 'aligntune.cli', *words, **env)


def launch(*words):
    "`aligntune launch`, in this process"
    from aligntune.cli import main
    with contextlib.redirect_stdout(sys.stderr): code = main(['launch', 'c.yaml', *words, '--force', '--quiet'])
    assert code == 0, words


def weights(folder): return hashlib.sha256(Path(folder, 'model.safetensors').read_bytes()).hexdigest()


def steps(folder):
    "The newest step in the metrics of a run"
    with contextlib.suppress(OSError, ValueError):
        return max(json.loads(line).get('step', 0) for line in Path(folder, 'metrics.jsonl').read_text().splitlines())
    return 0


def reference(n):
    "The weights after so many steps by `aligntune train --nproc 2`"
    out = f'ref-{n}'
    if not os.path.exists(out): aligntune('train', 'c.yaml', '--nproc', '2', f'max_steps={n}', f'output_dir={out}')
    return weights(out)


@case
def kubeflow():
    "Kubeflow's models read the TrainJob and the PyTorchJob, and give back every field that was written"
    import yaml
    from kubeflow.training import models as older
    from kubeflow_trainer_api import models
    for nnodes in ('1', '3'):
        for more in ([], ['gpu=none', 'memory=8Gi', 'cpus=4', 'namespace=team']):
            words = ['--on', 'kubernetes', '--nproc', '8', '--nnodes', nnodes,
                     'image=me/aligntune:1', 'volume=runs', 'hub_token=hf_typed', 'output_dir=a b; rm -rf x', *more]
            launch(*words, 'folder=new')
            files, job = yaml.safe_load_all(Path('new/job.yaml').read_text())
            read = models.TrainerV1alpha1TrainJob.from_dict(job)
            assert same(read.to_dict(), job), (read.to_dict(), job)
            assert read.spec.trainer.num_nodes == int(nnodes) and read.spec.trainer.num_proc_per_node == 8
            config_map = models.IoK8sApiCoreV1ConfigMap if hasattr(models, 'IoK8sApiCoreV1ConfigMap') else None
            if config_map: assert same(config_map.from_dict(files).to_dict(), files)
            assert run('bash', '-n', '-c', files['data']['start.sh']) == ''
            launch(*words, 'folder=old', 'kind=pytorchjob')
            job = [*yaml.safe_load_all(Path('old/job.yaml').read_text())][1]
            made = decoded(job, older.KubeflowOrgV1PyTorchJob, older)
            assert same(made, job), (made, job)
            assert 'hf_typed' not in Path('new/job.yaml').read_text() + Path('old/job.yaml').read_text()


def decoded(value, kind, models):
    "A mapping read strictly into a model of the Training Operator's client, and back"
    import kubernetes.client as core
    if isinstance(kind, str):
        if kind.startswith('dict('):
            return {k: decoded(v, kind[5:-1].split(', ', 1)[1], models) for k, v in value.items()}
        if kind.startswith('list['): return [decoded(v, kind[5:-1], models) for v in value]
        plain = dict(str=str, int=int, bool=bool, object=object)
        if kind in plain:
            assert isinstance(value, plain[kind]), (value, kind)
            return value
        kind = getattr(models, kind, None) or getattr(core, kind)
    names = {alias: n for n, alias in kind.attribute_map.items()}
    unknown = set(value) - set(names)
    assert not unknown, f'{kind.__name__} has no {unknown}'
    out = {k: decoded(v, kind.openapi_types[names[k]], models) for k, v in value.items()}
    kind(**{names[k]: v for k, v in value.items()})   # what is required is checked here
    return out


def same(read, written):
    "Does what a client read hold all that was written?"
    if isinstance(written, dict):
        return isinstance(read, dict) and all(k in read and same(read[k], v) for k, v in written.items())
    if isinstance(written, list): return len(read) == len(written) and all(map(same, read, written))
    return read == written or str(read) == str(written)


@case
def skypilot():
    "SkyPilot reads the task: machines, spot, recovery, bucket, secrets without values"
    import sky
    launch('--on', 'skypilot', '--nproc', '8', '--nnodes', '2', 'gpu=H100',
           'bucket=s3://my-runs', 'hub_token=hf_typed', 'output_dir=a b; rm -rf x', 'memory=200+', 'cpus=32+',
           'folder=sky')
    task = sky.Task.from_yaml('sky/task.yaml')
    task.expand_and_validate_file_mounts()   # every local file is there
    resources, = task.resources
    assert (task.num_nodes, resources.use_spot, resources.accelerators) == (2, True, {'H100': 8})
    assert resources.job_recovery['recover_on_exit_codes'] == [143, 138], resources.job_recovery
    storage, = task.storage_mounts.values()
    assert (storage.source, storage.mode.value) == ('s3://my-runs', 'MOUNT_CACHED')
    assert [*task.storage_mounts] == ['/outputs']
    assert 'hf_typed' not in ''.join(p.read_text() for p in Path('sky').iterdir())
    assert run('bash', '-n', '-c', task.run) == ''
    assert "output_dir: /outputs/a b; rm -rf x" in Path('sky/train.yaml').read_text()


@case
def ray():
    "Ray trains for real with two workers, and ends with the weights of torchrun; again, it resumes"
    launch('--on', 'ray', '--nproc', '2', 'gpu=none', 'max_steps=12', 'output_dir=on ray', 'folder=ray')
    quick = dict(RAY_USAGE_STATS_ENABLED='0', RAY_ADDRESS='local', PYTHONWARNINGS='ignore')
    print(run(sys.executable, 'ray/entry.py', **quick)[-300:])
    assert weights('on ray') == reference(12)


def submitted(name, *words):
    "Submit to the stand-in; the process, and the folder of its state"
    state = Path(tempfile.mkdtemp())
    programs = Path(tempfile.mkdtemp())
    for n in ('sbatch', 'srun', 'scontrol'):
        (programs/n).write_text(f'#!/bin/sh\nexec {sys.executable} {HERE}/tools/slurm_stand_in.py {n} "$@"\n')
        (programs/n).chmod(0o755)
    command = [sys.executable, '-m', 'aligntune.cli', 'launch', 'c.yaml', '--on', 'slurm', '--nnodes', '2', 'gpu=none',
               f'job_name={name}', f'folder=job of {name}', f'python={sys.executable}', PASSED_ON, *words, '--submit']
    env = os.environ | dict(PATH=f"{programs}:{os.environ['PATH']}", STAND_IN=str(state), UNNAMED='not exported')
    return subprocess.Popen(command, env=env), state


def until(what, process):
    "Wait for something while a process lives"
    begin = time.time()
    while not what():
        assert process.poll() is None, 'the job ended too early'
        assert time.time() - begin < PATIENCE, 'stuck'
        time.sleep(.05)


@case
def slurm():
    "Two machines meet and train: the weights of two processes on one machine"
    p, _ = submitted('plain', 'max_steps=12', 'output_dir=a b; rm -rf x')
    code = p.wait(PATIENCE)
    log = Path('plain-4711.log').read_text()
    assert code == 0, log[-3000:]
    assert weights('a b; rm -rf x') == reference(12)


@case
def slurm_preempted():
    "The signal of the time limit twice: saved, requeued, resumed, and the same weights as without it"
    p, state = submitted('stopped', 'max_steps=80', 'output_dir=stopped')
    for after in (5, 40):
        until(lambda: steps('stopped') >= after, p)
        os.kill(int((state/'pid').read_text()), signal.SIGUSR1)
    code = p.wait(PATIENCE)
    log = Path('stopped-4711.log').read_text()
    assert code == 0, log[-3000:]
    assert log.count('stopped and saved; requeued') == 2, log[-3000:]
    assert weights('stopped') == reference(80)


@case
def slurm_failing():
    "A failure is not requeued: its code is that of the job"
    Path('other.jsonl').write_text('{"answer": 1}\n')   # no data to train on
    p, _ = submitted('failing', 'max_steps=12', 'output_dir=failing', 'dataset_name=./other.jsonl')
    assert p.wait(PATIENCE) == 1   # of `aligntune launch`: sbatch failed
    log = Path('failing-4711.log').read_text()
    assert 'requeued' not in log and 'other.jsonl' in log, log


def main(names):
    "Run the cases; the exit code"
    if unknown := set(names) - set(CASES): sys.exit(f'no case {", ".join(unknown)}; there are: {", ".join(CASES)}')
    failed = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.chdir(home)
        aligntune('recipes', 'tiny')
        Path('c.yaml').write_text(CONFIG)
        for n in names or CASES:
            try: CASES[n]()
            except Exception as e:   # noqa: BLE001   the next case is tried too
                failed += 1
                print(f'FAILED  {n}: {type(e).__name__}: {e}', flush=True)
            else: print(f'ok      {n}: {CASES[n].__doc__}', flush=True)
        os.chdir('/')
    print(f'{len(names or CASES) - failed} passed, {failed} failed')
    return int(bool(failed))


if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
