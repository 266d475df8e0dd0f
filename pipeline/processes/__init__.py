"""What a process does besides its work: how it starts, what signals do to it, and the processes that it starts.

`interrupts` notes Ctrl-C and SIGTERM, holds them back, or gives work in flight time to end; `collector` lets Python's
collector of garbage rest while modules are imported; `worker_pool` starts and ends pools of processes on this machine.
Nothing here knows what the work is.
"""
