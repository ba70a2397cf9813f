"""A sweep whose trials take a moment: CartPole, one agent, a few updates."""

import yaml

SWEEP = """
name: tiny
environment: CartPole-v1
train:
  num_agents: 1
  num_updates: 4
  checkpoint_every: 0
  ppo: {envs_per_agent: 2, steps_per_update: 64, epochs: 1, minibatches: 2, hidden: [4]}
sweep:
  statistic: mean
  startup_trials: 2
  prune: false
  space:
    train.ppo.hidden: {choices: [[4], [6, 6]]}
    train.seed: {low: 0, high: 9, whole: true}
"""


def written(tmp_path, text=SWEEP, **changes):
    """The path of the sweep's file, its group changed."""
    document = yaml.safe_load(text)
    document["sweep"].update(changes)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)
