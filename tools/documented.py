"""The code blocks of the documentation that this project implements; `tools/check_snippets.py` runs them.

A line that ends in `# added` is what a block lacks to be a program: a data set, a reward, a limit."""
from dataclasses import dataclass

@dataclass(frozen=True)
class Snippet:
    "A block, and what must be true when it has run"
    code: str
    model: str = ''   # the model that it trains; '' where the block trains nothing
    folder: str = 'output'   # the run that it leaves
    steps: int = 0   # optimizer steps of that run
    refused: tuple[str, ...] = ()   # the words of the error in which it ends
    prints: tuple[str, ...] = ()   # what it prints

DIALOGPT, LLAMA = 'microsoft/DialoGPT-small', 'unsloth/Llama-3.2-1B-Instruct-bnb-4bit'
EPOCHS = 9   # steps of three epochs of 12 rows, four at a time
SNIPPETS: dict[str, Snippet] = {}

def _add(name, code, *args, **more): SNIPPETS[name] = Snippet(code.strip() + '\n', *args, **more)

# Backend comparison

_add('comparison: SFT with TRL', '''
from aligntune.core.backend_factory import create_sft_trainer

trainer = create_sft_trainer(
    model_name="microsoft/DialoGPT-small",
    dataset_name="tatsu-lab/alpaca",
    backend="trl",
    num_epochs=3,
    batch_size=4,
    learning_rate=5e-5
)
trainer.train()
''', DIALOGPT, steps=EPOCHS)

_add('comparison: SFT with Unsloth', '''
from aligntune.core.backend_factory import create_sft_trainer

trainer = create_sft_trainer(
    model_name="unsloth/Llama-3.2-1B-Instruct-bnb-4bit",
    dataset_name="tatsu-lab/alpaca",
    backend="unsloth",
    num_epochs=3,
    batch_size=4,
    learning_rate=5e-5
)
trainer.train()
''', LLAMA, steps=EPOCHS)

# Backend selection

_add('selection: auto', '''
from aligntune.core.backend_factory import create_sft_trainer

trainer = create_sft_trainer(
    model_name="microsoft/DialoGPT-small",
    dataset_name="tatsu-lab/alpaca",
    backend="auto"
)
trainer.train()
''', DIALOGPT, steps=EPOCHS)

_add('selection: status', '''
from aligntune.core.backend_factory import get_backend_status

status = get_backend_status()
print(f"TRL available: {status['trl']['available']}")
print(f"Unsloth available: {status['unsloth']['available']}")
''', prints=('TRL available: True', 'Unsloth available: False'))

_add('selection: fallback', '''
from aligntune.core.backend_factory import create_sft_trainer

trainer = create_sft_trainer(
    model_name="microsoft/DialoGPT-small",
    dataset_name="tatsu-lab/alpaca",
    backend="unsloth"
)
trainer.train()
''', DIALOGPT, steps=EPOCHS)

_add('selection: BackendType', '''
from aligntune.core.backend_factory import BackendType, create_sft_trainer

trainer = create_sft_trainer(
    model_name="microsoft/DialoGPT-small",
    dataset_name="tatsu-lab/alpaca",
    backend=BackendType.TRL,
    max_steps=2 # added
)
trainer.train()
''', DIALOGPT, steps=2)

# Unsloth

_add('Unsloth: QLoRA', '''
from aligntune.core.backend_factory import create_sft_trainer

trainer = create_sft_trainer(
    model_name="unsloth/Llama-3.2-1B-Instruct-bnb-4bit",
    dataset_name="tatsu-lab/alpaca",
    backend="unsloth",
    num_epochs=3,
    batch_size=4,
    learning_rate=5e-5,
    use_peft=True,
    lora_r=8,
    lora_alpha=16,
    lora_dropout=0.05
)
trainer.train()
''', LLAMA, steps=EPOCHS)

_add('Unsloth: DPO', '''
from aligntune.core.backend_factory import create_rl_trainer

trainer = create_rl_trainer(
    model_name="unsloth/Llama-3.2-1B-Instruct-bnb-4bit",
    dataset_name="Anthropic/hh-rlhf",
    algorithm="dpo",
    backend="unsloth",
    num_epochs=1,
    batch_size=1,
    learning_rate=1e-6
)
trainer.train()
''', LLAMA, steps=12)

_add('Unsloth: PPO', '''
from aligntune.core.backend_factory import create_rl_trainer

trainer = create_rl_trainer(
    model_name="unsloth/Llama-3.2-1B-Instruct-bnb-4bit",
    dataset_name="Anthropic/hh-rlhf",
    algorithm="ppo",
    backend="unsloth",
    reward_model_name="your-reward-model",
    num_epochs=1,
    batch_size=1,
    learning_rate=1e-6
)
trainer.train()
''', LLAMA, steps=48)   # each batch is used in four epochs

# Support matrix

_add('matrix: from Unsloth to TRL, before', '''
from aligntune.core.backend_factory import create_sft_trainer

trainer = create_sft_trainer(
    model_name="unsloth/model-bnb-4bit",
    backend="unsloth",
    dataset_name="tatsu-lab/alpaca" # added
)
trainer.train()
''', 'unsloth/model-bnb-4bit', steps=EPOCHS)

_add('matrix: from Unsloth to TRL, after', '''
from aligntune.core.backend_factory import create_sft_trainer

trainer = create_sft_trainer(
    model_name="model",
    backend="trl",
    dataset_name="tatsu-lab/alpaca" # added
)
trainer.train()
''', 'model', steps=EPOCHS)

_add('matrix: GSPO with Unsloth', '''
from aligntune.core.backend_factory import create_rl_trainer

create_rl_trainer(algorithm="gspo", backend="unsloth")
''', refused=('GSPO', 'Unsloth', 'trl'))

_add('matrix: GSPO with Unsloth, model and data named', '''
from aligntune.core.backend_factory import create_rl_trainer

create_rl_trainer(algorithm="gspo", backend="unsloth", model_name="model", dataset_name="tatsu-lab/alpaca")
''', refused=('GSPO', 'Unsloth', 'trl'))

_add('matrix: GSPO with TRL', '''
from aligntune.core.backend_factory import create_rl_trainer

trainer = create_rl_trainer(
    algorithm="gspo",
    backend="trl",
    model_name="model", dataset_name="tatsu-lab/alpaca", reward_functions=["length"], max_steps=2 # added
)
trainer.train()
''', 'model', steps=2)

# Training Hub

_add('hub: sft', '''
from aligntune import sft

result = sft(
    model_path="./model",
    data_path="./data.jsonl",
    ckpt_output_dir="./output",
    num_epochs=3,
    effective_batch_size=8,
    learning_rate=2e-5,
    max_seq_len=2048,
    max_tokens_per_gpu=45000
)
''', 'model', steps=6)

_add('hub: sft, its backend named', '''
from aligntune import sft

result = sft(
    model_path="./model",
    data_path="./data.jsonl",
    ckpt_output_dir="./output",
    num_epochs=3,
    effective_batch_size=8,
    learning_rate=2e-5,
    max_seq_len=2048,
    max_tokens_per_gpu=45000,
    backend="instructlab-training"
)
''', 'model', steps=6)

_add('hub: create_algorithm', '''
from aligntune import create_algorithm

algorithm = create_algorithm("sft", backend_name="instructlab-training")
result = algorithm.train(model_path="./model", data_path="./data.jsonl", ckpt_output_dir="./output")
''', 'model', steps=3)

_add('hub: osft', '''
from aligntune import osft

osft(
    model_path="./model",
    data_path="./data.jsonl",
    ckpt_output_dir="./output",
    num_epochs=1,
    unfreeze_rank_ratio=0.25,
    effective_batch_size=8,
    learning_rate=2e-5,
    max_seq_len=512,
    max_tokens_per_gpu=4096
)
''', 'model', steps=2)

_add('hub: lora_sft', '''
from aligntune import lora_sft

lora_sft(
    model_path="./model",
    data_path="./data.jsonl",
    ckpt_output_dir="./output",
    num_epochs=1,
    effective_batch_size=8
)
''', 'model', steps=2)

_add('hub: a backend of your own', '''
from aligntune import Backend, AlgorithmRegistry, create_algorithm
from typing import Dict, Any

class MyCustomBackend(Backend):
    """Custom backend for a specific training framework."""

    def execute_training(self, algorithm_params: Dict[str, Any]) -> Any:
        return sorted(algorithm_params) # added

AlgorithmRegistry.register_backend("sft", "my_backend", MyCustomBackend)
algorithm = create_algorithm("sft", backend_name="my_backend")
print(algorithm.train(model_path="./model", data_path="./data.jsonl", ckpt_output_dir="./output").raw) # added
''', prints=("'ckpt_output_dir'", "'data_path'", "'model_path'"))

_add('hub: more keywords', '''
from aligntune import sft

sft(
    model_path="./model",
    data_path="./data.jsonl",
    ckpt_output_dir="./output",
    num_epochs=1,
    effective_batch_size=8,
    learning_rate=2e-5,
    max_seq_len=2048,
    max_tokens_per_gpu=45000,
    seed=7
)
''', 'model', steps=2)

# Not in the documents: what else people do with hh-rlhf, which has no column for the prompt

for _algorithm, _more in dict(ppo='reward_model_name="your-reward-model"', grpo='reward_functions=["length"]').items():
    _add(f'hh-rlhf: {_algorithm.upper()}', f'''
from aligntune.core.backend_factory import create_rl_trainer

trainer = create_rl_trainer(
    model_name="microsoft/DialoGPT-small", dataset_name="Anthropic/hh-rlhf", algorithm="{_algorithm}",
    {_more}, max_completion_length=16, max_steps=2
)
trainer.train()
''', DIALOGPT, steps=2)

_add('hh-rlhf: SFT', '''
from aligntune.core.backend_factory import create_sft_trainer

trainer = create_sft_trainer(
    model_name="microsoft/DialoGPT-small", dataset_name="Anthropic/hh-rlhf", max_steps=2
)
trainer.train()
''', DIALOGPT, steps=2)
