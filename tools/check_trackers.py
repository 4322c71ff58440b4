"""Trackers for real: a training is stopped and resumed, reports to each of six, and what they kept is read back.

MLflow by its own server on loopback, the others offline, as their packages write it. `make test-trackers` installs them
beside the environment. Not checked: what a hosted server makes of it (W&B, Comet, SwanLab and Spaces need accounts).
"""
import json, os, signal, socket, sqlite3, struct, subprocess, sys, tempfile, time, urllib.request, zipfile
from pathlib import Path

SECRET = 'sk-very-secret-0123456789'
NAMES = ('tensorboard', 'mlflow', 'trackio', 'swanlab', 'wandb', 'comet_ml')


def free_port():
    "A port of loopback that nobody uses"
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def mlflow_server(home):
    "An MLflow server of our own, and its address"
    port = free_port()
    address = f'http://127.0.0.1:{port}'
    server = subprocess.Popen([sys.executable, '-m', 'mlflow', 'server', '--host', '127.0.0.1', '--port', str(port),
                               '--workers', '1', '--backend-store-uri', f'sqlite:///{home}/mlflow.db',
                               '--artifacts-destination', f'{home}/artifacts'],
                              stdout=open(home/'mlflow.log', 'w'), stderr=subprocess.STDOUT, cwd=home)
    for _ in range(600):
        try:
            if urllib.request.urlopen(f'{address}/health', timeout=2).status == 200: return server, address
        except OSError: time.sleep(.5)
        assert server.poll() is None, (home/'mlflow.log').read_text()[-2000:]
    raise SystemExit('the MLflow server did not answer')


def train(names, stop_at=None, resume=None):
    "Six steps of GRPO on a tiny model; SIGTERM after step `stop_at`"
    from aligntune import create_rl_trainer
    def shorter(completions): return [-len(c)/10 for c in completions]
    def on_step_end(state):
        if state.global_step == stop_at: os.kill(os.getpid(), signal.SIGTERM)
    trainer = create_rl_trainer('model', [dict(prompt=f'{i}=') for i in range(16)], 'grpo', output_dir='run',
                                run_name='tracked', reward_functions=[shorter], max_steps=6, batch_size=8,
                                num_generations=4, logging_steps=1, learning_rate=1e-3, max_completion_length=8,
                                save_steps=100, report_to=list(names), progress='none', callbacks=on_step_end,
                                hub_token=SECRET, backend='trl')
    return trainer.train(resume_from_checkpoint=resume)


def mlflow_kept(home):
    import mlflow
    from mlflow import MlflowClient
    client = MlflowClient(os.environ['MLFLOW_TRACKING_URI'])
    experiment, = [e for e in client.search_experiments() if e.name == 'aligntune']
    run, = client.search_runs([experiment.experiment_id])   # one run, though it was resumed
    steps = [m.step for m in client.get_metric_history(run.info.run_id, 'reward')]
    files = {f.path for f in client.list_artifacts(run.info.run_id)}
    answers = mlflow.load_table('answers.json', run_ids=[run.info.run_id], extra_columns=[])
    assert run.info.status == 'FINISHED' and run.info.run_name == 'tracked', run.info
    assert steps == [1, 2, 3, 4, 5, 6], steps
    assert {'answers.json', 'curves.png', 'plan.txt'} <= files, files
    assert run.data.params['learning_rate'] == '0.001' and run.data.params['algorithm'] == 'grpo', run.data.params
    kept = [json.loads(line) for line in (home/'run/samples.jsonl').open()]
    pairs = lambda rows: {(r['step'], r['reward']) for r in rows}
    assert pairs(answers.to_dict('records')) <= pairs(kept), answers
    assert sorted(answers['step']) == [s for s in range(1, 7) for _ in range(3)], 'three of each step, once'
    assert run.data.params['dataset_name'] == 'list of 16', run.data.params['dataset_name']
    return f'{len(run.data.params)} parameters, {len(run.data.metrics)} metrics, {len(answers)} answers'


def tensorboard_kept(home):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(home/'run/tensorboard'))
    events.Reload()
    steps = [e.step for e in events.Scalars('train/reward')]
    assert steps == [1, 2, 3, 4, 5, 6], steps
    tags = events.Tags()
    assert 'curves' in tags['images'] and {'answers/text_summary', 'plan/text_summary'} <= set(tags['tensors']), tags
    return f"{len(tags['scalars'])} curves"


def trackio_kept(home):
    with sqlite3.connect(home/'trackio/aligntune.db') as db:
        rows = [(n, step, m.decode() if isinstance(m, bytes) else m)
                for n, step, m in db.execute('select run_name, step, metrics from metrics order by step')]
    names = {r[0] for r in rows}
    steps = sorted(s for _, s, m in rows if 'train/reward"' in m)
    assert len(names) == 1 and steps == [1, 2, 3, 4, 5, 6], (names, steps)
    assert any('"answers"' in m for _, _, m in rows) and any('"curves"' in m for _, _, m in rows)
    return f'{len(rows)} rows of {names.pop()}'


def records(content):
    "The records of a .wandb file: LevelDB's log format, blocks of 32 KiB after a header of seven bytes"
    at, part = 7, b''
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:   # the rest of a block is empty
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack('<IHB', content[at:at + 7])
        part += content[at + 7:at + 7 + length]
        at += 7 + length
        if kind in (1, 4):   # whole, or the last piece
            yield part
            part = b''


def wandb_kept(home):
    from wandb.proto import wandb_internal_pb2
    steps, keys, ids = [], set(), set()
    for file in sorted(home.glob('run/wandb/offline-run-*/*.wandb')):
        ids.add(file.stem)
        for data in records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof('record_type') != 'history': continue
            items = {i.key or '.'.join(i.nested_key): i.value_json for i in record.history.item}
            keys |= items.keys()
            if 'train/reward' in items: steps.append(int(float(items['train/global_step'])))
    assert len(ids) == 1 and steps == [1, 2, 3, 4, 5, 6], (ids, steps)
    assert any(k.startswith('answers') for k in keys) and any(k.startswith('curves') for k in keys), keys
    return f'{len(keys)} keys under one id'


def comet_kept(home):
    steps, names = [], set()
    archives = sorted(home.glob('run/comet/*/*.zip'))
    for archive in archives:
        with zipfile.ZipFile(archive) as z:
            names |= set(z.namelist())
            for line in z.read('messages.json').decode().splitlines():
                m = json.loads(line)['payload']
                metric = m.get('metric') or {}
                if metric.get('metricName') == 'train/reward': steps.append(metric['step'])
    assert sorted(steps) == [1, 2, 3, 4, 5, 6], steps
    assert len({a.name.split('-')[0] for a in archives}) == 1
    return f'{len(archives)} archives under one key'


def swanlab_kept(home):
    folders = sorted(home.glob('run/swanlab/run-*'))
    assert len(folders) == 2 and len({f.name.split('-')[-1] for f in folders}) == 1, folders
    kept = b''.join(p.read_bytes() for f in folders for p in f.rglob('*.swanlab'))
    assert b'train/reward' in kept and b'answers' in kept
    assert [p for f in folders for p in f.rglob('media/image/*')]
    return f'{len(folders)} folders under one id'


def no_secret(home):
    "No file of a tracker holds the token, also not in an archive"
    looked = 0
    for p in (p for p in home.rglob('*') if p.is_file() and 'model' not in p.parts):
        looked += 1
        assert SECRET.encode() not in p.read_bytes(), f'the token stands in {p}'
        if p.suffix == '.zip':
            with zipfile.ZipFile(p) as z: assert not [n for n in z.namelist() if SECRET.encode() in z.read(n)], p
    return looked


def main(names):
    from aligntune.data.tiny import save_tiny
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.chdir(home)
        server = None
        os.environ.update(WANDB_MODE='offline', COMET_START_ONLINE='0', SWANLAB_MODE='offline',
                          TRACKIO_DIR=str(home/'trackio'))
        sys.argv += [f'hub_token={SECRET}']   # as if typed: clients that write down the command line would tell it
        try:
            if 'mlflow' in names: server, os.environ['MLFLOW_TRACKING_URI'] = mlflow_server(home)
            save_tiny('model', 'qwen3', 'base', context=64, hidden=32, layers=1)
            try: train(names, stop_at=3)
            except SystemExit as e: assert e.code == 143, e.code
            else: raise AssertionError('it did not stop')
            train(names, resume=True)
            for name in names: print(f"{name}: {globals()[name.removesuffix('_ml') + '_kept'](home)}", flush=True)
            print(f'no secret in {no_secret(home)} files')
        finally:
            if server:
                server.terminate()
                server.wait(30)


if __name__ == '__main__': main(sys.argv[1:] or NAMES)
