"""What a kernel costs, found without a GPU, and the gate that keeps it from growing.

ptxas       PTX → cubin, with registers, spills, shared memory, barriers
sass        cubin → how often each machine instruction occurs
occupancy   registers, shared memory and block size → warps on a multiprocessor
roofline    bytes and operations → the least time on a named device
figures     the figures of a kernel and of a model
budget      figures against those of a committed file
"""
