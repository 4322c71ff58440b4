"""A stand-in for Slurm's programs on one machine, for tools/check_launch.py: sbatch, srun and scontrol by their names.

What it does as Slurm does: the batch script gets the variables that --export names, and SLURM_*; srun starts a task on
each node, passes SIGUSR1 on and kills the tasks when it gets SIGTERM or SIGHUP; `scontrol requeue` kills the batch
script, which then starts again with SLURM_RESTART_COUNT one higher and its log going on. Nodes are addresses of this
machine, 127.0.0.2 and up. What it leaves out: queues, limits, containers, several machines, real preemption (the signal
comes from the test), and every option but those named here."""
import os, re, signal, subprocess, sys
from pathlib import Path

STATE = Path(os.environ.get('STAND_IN', '.'))   # pid of the batch script, requests to requeue


def options(text):
    "The options of #SBATCH lines"
    return dict(re.findall(r'(?m)^#SBATCH --([\w-]+)(?:=(\S+))?$', text))


def sbatch(args):
    "Run a batch script until it ends without being requeued"
    script, = args
    given = options(Path(script).read_text())
    nodes = [f'127.0.0.{2 + i}' for i in range(int(given['nodes']))]
    names = given['export'].split(',')
    for restarts in range(9):
        env = {n: os.environ[n] for n in names if n in os.environ} | dict(
            STAND_IN=str(STATE), SLURM_JOB_ID='4711', SLURM_JOB_NODELIST=','.join(nodes),
            SLURM_JOB_NUM_NODES=str(len(nodes)), SLURM_RESTART_COUNT=str(restarts))
        if not restarts: del env['SLURM_RESTART_COUNT']   # as in Slurm: set for a job that was restarted
        with open(f"{given['job-name']}-4711.log", 'a') as log:
            job = subprocess.Popen(['bash', script], env=env, stdout=log, stderr=log, start_new_session=True)
            (STATE/'pid').write_text(str(job.pid))
            code = job.wait()
        requeued = STATE/'requeue'
        if not requeued.exists(): return code
        requeued.unlink()
    return code


def scontrol(args):
    "The nodes of a job, or its requeueing"
    if args[:2] == ['show', 'hostnames']: print(*args[2].split(','), sep='\n')
    elif args == ['requeue', '4711']:
        (STATE/'requeue').touch()
        os.kill(int((STATE/'pid').read_text()), signal.SIGKILL)
    else: sys.exit(f'scontrol: {args}')
    return 0


def srun(args):
    "Start the command once on each node; the highest exit code"
    assert args.pop(0) == '--export=ALL'
    nodes = os.environ['SLURM_JOB_NODELIST'].split(',')
    tasks = [subprocess.Popen(args, start_new_session=True,
                              env=os.environ | dict(SLURM_NODEID=str(i), SLURM_PROCID=str(i), SLURM_LOCALID='0'))
             for i in range(len(nodes))]
    def forward(number, frame):
        for t in tasks:
            if t.poll() is None: os.kill(t.pid, signal.SIGUSR1 if number == signal.SIGUSR1 else signal.SIGKILL)
    for s in (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP): signal.signal(s, forward)
    return max(128 - c if (c := t.wait()) < 0 else c for t in tasks)


if __name__ == '__main__': sys.exit(dict(sbatch=sbatch, srun=srun, scontrol=scontrol)[sys.argv[1]](sys.argv[2:]))
