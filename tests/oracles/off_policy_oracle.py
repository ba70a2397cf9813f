"""The formulas of DQN and SAC in plain NumPy and float64 loops: slow, obvious, sharing no code with agents/."""

import numpy as np
from scipy import stats

from tests.oracles.ppo_oracle import forward


def quantile_values(params, obs, quantiles):
    """float64[num_actions, N] of one observation."""
    x = np.asarray(obs, np.float64)
    for index in range(len(params["trunk"])):
        layer = params["trunk"][str(index)]
        x = np.tanh(x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64))
    advantage = forward(params["advantage"], x).reshape(-1, quantiles)
    if "value" not in params:
        return advantage
    value = forward(params["value"], x)
    return np.array([[value[n] + row[n] - advantage[:, n].mean() for n in range(quantiles)] for row in advantage])


def dqn_target(params, target, reward, terminated, next_obs, gamma, double, quantiles):
    """float64[N] of one transition."""
    later = quantile_values(target, next_obs, quantiles)
    judge = quantile_values(params, next_obs, quantiles) if double else later
    best = int(np.argmax(judge.mean(axis=1)))
    return np.array([reward + (0.0 if terminated else gamma * later[best, n]) for n in range(quantiles)])


def quantile_huber(predicted, wanted, threshold):
    """Loss of one transition: predicted float64[N], wanted float64[N']."""
    total = 0.0
    for i, value in enumerate(predicted):
        fraction = (i + 0.5) / len(predicted)
        for other in wanted:
            error = other - value
            small = abs(error) <= threshold
            huber = error**2 / 2 if small else threshold * (abs(error) - threshold / 2)
            weight = fraction if error >= 0 else 1 - fraction
            total += weight * huber / threshold / len(wanted)
    return total


def tanh_normal(outputs, normal, log_std_low, log_std_high):
    """Action and log density by the change of variables, from the network's outputs float64[2K]."""
    size = len(normal)
    action, log_prob = np.zeros(size), 0.0
    for k in range(size):
        share = (np.tanh(outputs[size + k]) + 1) / 2
        std = np.exp(log_std_low + share * (log_std_high - log_std_low))
        u = outputs[k] + std * normal[k]
        action[k] = np.tanh(u)
        log_prob += stats.norm.logpdf(u, outputs[k], std) - np.log(1 - np.tanh(u) ** 2)
    return action, log_prob


def critics(params, obs, action):
    """Both critics' values of one observation and action."""
    joined = np.concatenate([np.asarray(obs, np.float64), np.asarray(action, np.float64)])
    return forward(params["critic_a"], joined)[0], forward(params["critic_b"], joined)[0]
