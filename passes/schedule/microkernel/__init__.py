"""Loop builders for the CPU: they emit vector, scf, memref and arith ops.

A schedule rule calls one of them inside a kernel's function and says through callbacks
where operands come from and what happens to results, so that prologue and epilogue are
the fused ops' own bodies.
"""
