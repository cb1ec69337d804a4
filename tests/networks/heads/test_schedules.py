"""Learning rates: PyTorch's one-cycle step for step, thirds, no step outside of (0, largest]."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.networks.heads.schedules import Schedule, learning_rate

# torch 2.15, CPU: OneCycleLR(optimizer, max_lr=0.1, total_steps=10), get_last_lr() before each step.
TORCH_OF_10 = (
    0.004,
    0.052,
    0.1,
    0.09504846320134738,
    0.0811745653949763,
    0.06112620219362893,
    0.03887419780637107,
    0.0188258346050237,
    0.004951936798652629,
    4e-07,
)


def test_one_cycle_is_that_of_pytorch() -> None:
    ours = [learning_rate("one-cycle", 0.1, step, 10) for step in range(10)]
    assert ours == pytest.approx(TORCH_OF_10, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_one_cycle_is_that_of_pytorch_here() -> None:
    torch = pytest.importorskip("torch")
    for n_steps in (4, 7, 100, 333):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=n_steps)
        theirs = [schedule.get_last_lr()[0]]
        for _ in range(n_steps - 1):
            schedule.step()
            theirs.append(schedule.get_last_lr()[0])
        assert [learning_rate("one-cycle", 0.3, step, n_steps) for step in range(n_steps)] == pytest.approx(theirs)


def test_step_is_a_tenth_after_each_third() -> None:
    rates = [learning_rate("step", 1.0, step, 10) for step in range(10)]
    assert rates == pytest.approx([1.0] * 4 + [0.1] * 3 + [0.01] * 3)


def test_one_step_is_the_largest() -> None:
    assert learning_rate("one-cycle", 0.1, 0, 1) == 0.1


def test_constant_is_the_largest() -> None:
    assert {learning_rate("constant", 0.01, step, 5) for step in range(5)} == {0.01}


@given(st.sampled_from(["constant", "one-cycle", "step"]), st.integers(1, 2000), st.data())
def test_every_step_has_a_rate_above_0_and_not_above_the_largest(
    schedule: Schedule, n_steps: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, n_steps - 1))
    assert 0 < learning_rate(schedule, 0.01, step, n_steps) <= 0.01 * (1 + 1e-12)


def test_the_warm_cosine_rises_in_equal_steps_and_falls_along_a_cosine() -> None:
    rates = [learning_rate("warm-cosine", 1.0, step, 100) for step in range(100)]
    assert rates[:11] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0])
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001
