"""Golovin et al.'s rule, by hand."""

import pytest

from hposweep.schedulers.median_stopping import MedianStoppingScheduler
from hposweep.trial import ResumeTrial, Segment, StartTrial, Trial, TrialState


def run(scheduler: MedianStoppingScheduler, number: int, losses: list[float]) -> tuple[TrialState, int]:
    """Runs the trial until it is complete or stopped; its state, and at how many decisions it was looked at."""
    wanted = scheduler.next_segment(can_start_new=True)
    assert wanted is not None
    for n_looked, loss in enumerate(losses, start=1):
        assert wanted is not None
        assert wanted.target_epoch is not None
        assert isinstance(wanted, StartTrial) if n_looked == 1 else wanted == ResumeTrial(number, wanted.target_epoch)
        scheduler.start(Segment(number, 0, wanted.target_epoch))
        trial = Trial(number, {}, 0, target_epoch=wanted.target_epoch)
        state = scheduler.state_after(trial, loss)
        scheduler.tell(Trial(number, {}, 0, state, target_epoch=wanted.target_epoch), loss)
        if state is not TrialState.PAUSED:
            return state, n_looked
        wanted = scheduler.next_segment(can_start_new=True)
    raise AssertionError("neither complete nor stopped")


def test_a_trial_is_stopped_when_its_best_is_worse_than_the_median_of_running_averages() -> None:
    scheduler = MedianStoppingScheduler(r_max=3, check_every=1)
    assert run(scheduler, 0, [0.9, 0.5, 0.1]) == (TrialState.COMPLETE, 3)  # averages 0.9, 0.7, 0.5
    assert run(scheduler, 1, [0.8, 0.6, 0.4]) == (TrialState.COMPLETE, 3)  # averages 0.8, 0.7, 0.6
    # Medians 0.85, 0.7, 0.55. At the first: 0.86 is worse, 0.85 is not.
    assert run(scheduler, 2, [0.86]) == (TrialState.STOPPED, 1)
    assert run(scheduler, 3, [0.85, 0.71]) == (TrialState.STOPPED, 2)
    # The best so far counts, not the last one; no decision is taken at the end.
    assert run(scheduler, 4, [0.69, 0.9, 0.9]) == (TrialState.COMPLETE, 3)


@pytest.mark.parametrize(
    ("options", "levels"),
    [({}, [1, 3, 9]), ({"check_every": 4}, [1, 5, 9]), ({"r_min": 3, "check_every": 2}, [3, 5, 7, 9])],
)
def test_trials_are_judged_at_rungs_or_each_so_many_epochs(options: dict[str, int], levels: list[int]) -> None:
    scheduler = MedianStoppingScheduler(r_max=9, **options)
    found: list[int | None] = []
    wanted = scheduler.next_segment(can_start_new=True)
    while wanted is not None and len(found) < len(levels):
        assert isinstance(wanted, StartTrial) or wanted.trial == 0
        found.append(wanted.target_epoch)
        scheduler.start(Segment(0, 0, wanted.target_epoch))
        state = TrialState.COMPLETE if wanted.target_epoch == 9 else TrialState.PAUSED
        scheduler.tell(Trial(0, {}, 0, state, target_epoch=wanted.target_epoch), 0.5)
        wanted = scheduler.next_segment(can_start_new=True)
    assert found == levels
