"""PPO's formulas in plain NumPy and float64 loops: slow, obvious, sharing no code with agents/."""

import numpy as np


def advantages(reward, value, next_value, done, gamma, gae_lambda):
    """A_t as the sum over k of (gamma lambda)^k delta_{t+k}, up to the episode's end, for one environment."""
    num_steps = len(reward)
    result = np.zeros(num_steps)
    for t in range(num_steps):
        weight = 1.0
        for k in range(t, num_steps):
            result[t] += weight * (reward[k] + gamma * next_value[k] - value[k])
            if done[k]:
                break
            weight *= gamma * gae_lambda
    return result


def forward(layers, x):
    """A tanh network with a linear last layer, one row at a time."""
    x = np.asarray(x, np.float64)
    for index in range(len(layers)):
        kernel = np.asarray(layers[str(index)]["kernel"], np.float64)
        bias = np.asarray(layers[str(index)]["bias"], np.float64)
        x = np.array([sum(x[i] * kernel[i, j] for i in range(len(x))) + bias[j] for j in range(len(bias))])
        if index < len(layers) - 1:
            x = np.tanh(x)
    return x


def loss(params, obs, action, old_log_prob, advantage, target, clip, entropy_coef, value_coef):
    """The three terms of the loss, transition by transition; returns (total, parts)."""
    size = len(action)
    mean = sum(advantage) / size
    deviation = np.sqrt(sum((a - mean) ** 2 for a in advantage) / size)
    policy = value_loss = entropy = kl = clipped = 0.0
    for i in range(size):
        scores = forward(params["actor"], obs[i])
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        ratio = probabilities[action[i]] / np.exp(old_log_prob[i])
        scaled = (advantage[i] - mean) / (deviation + 1e-8)
        if scaled >= 0:
            policy += min(ratio, 1 + clip) * scaled
        else:
            policy += max(ratio, 1 - clip) * scaled
        value_loss += (forward(params["critic"], obs[i])[0] - target[i]) ** 2 / 2
        entropy += -sum(p * np.log(p) for p in probabilities)
        kl += ratio - 1 - np.log(ratio)
        clipped += abs(ratio - 1) > clip
    parts = {
        "policy_loss": -policy / size,
        "value_loss": value_loss / size,
        "entropy": entropy / size,
        "approx_kl": kl / size,
        "clip_frac": clipped / size,
    }
    total = parts["policy_loss"] + value_coef * parts["value_loss"] - entropy_coef * parts["entropy"]
    return total, parts


def adam_step(param, gradient, moments, step, learning_rate, max_norm, norm):
    """One Adam step (Kingma, Ba 2015) on a gradient clipped by its global norm; returns (param, moments)."""
    gradient = gradient * min(1.0, max_norm / norm)
    first = 0.9 * moments[0] + 0.1 * gradient
    second = 0.999 * moments[1] + 0.001 * gradient**2
    direction = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-5)
    return param - learning_rate * direction, (first, second)
