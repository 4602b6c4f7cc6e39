"""Random programs of ix ops compute after lowering what NumPy computes."""

import pytest
from lowering_check import check
from random_program import RandomProgram


@pytest.mark.parametrize("seed", range(40))
def test_random_program(seed):
    program = RandomProgram(seed)
    check(program.body, program.inputs, dynamic=program.dynamic)
