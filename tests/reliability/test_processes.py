"""The first trials of each promise about processes and disks; the harness (`make reliability`) makes many."""

import pytest

from tests.reliability import input_faults, process_faults

TRIALS = {**process_faults.TRIALS, **input_faults.TRIALS}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", TRIALS)
def test_the_promise_is_kept(name, seed, tmp_path):
    assert TRIALS[name](seed, tmp_path)
