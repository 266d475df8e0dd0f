"""Starts a command in which no memory that was written becomes executable, as some systems forbid it.

    python -m support.forbidden_code seccomp COMMAND...

"seccomp" is a filter of system calls, as sandboxes have it: mprotect with PROT_EXEC, and mmap with it and PROT_WRITE,
fail with EPERM. "mdwe" is the kernel's own rule (Linux 6.3), which systemd's MemoryDenyWriteExecute sets where it is
there. The exit code is 77 if this kernel does not have it.
"""

import ctypes
import os
import platform
import struct
import sys

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 22, 38, 65
_MDWE_REFUSE_EXEC_GAIN = 1
_SECCOMP_MODE_FILTER = 2
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
"""SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with EPERM (linux/seccomp.h)."""
_CALLS = {"x86_64": (10, 9), "aarch64": (226, 222)}
"""Numbers of mprotect and mmap (asm/unistd.h)."""
_WRITE, _EXEC = 2, 4
NOT_HERE = 77


def _filter() -> bytes:
    """A program of classic BPF over `struct seccomp_data`: the call's number at 0, its third argument at 32."""
    mprotect, mmap = _CALLS[platform.machine()]
    load, equal, masked, end = 0x20, 0x15, 0x54, 0x06  # LD|W|ABS, JMP|JEQ|K, ALU|AND|K, RET|K
    return b"".join(
        struct.pack("HBBI", *each)
        for each in [
            (load, 0, 0, 0),
            (equal, 4, 0, mprotect),
            (equal, 0, 6, mmap),
            (load, 0, 0, 32),
            (masked, 0, 0, _WRITE | _EXEC),
            (equal, 4, 3, _WRITE | _EXEC),
            (load, 0, 0, 32),
            (masked, 0, 0, _EXEC),
            (equal, 1, 0, _EXEC),
            (end, 0, 0, _ALLOW),
            (end, 0, 0, _EPERM),
        ]
    )


def forbid(how: str) -> None:
    """From now on, for this process and those that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if how == "mdwe":
        if libc.prctl(_PR_SET_MDWE, _MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
            sys.exit(NOT_HERE)
        return
    program = _filter()
    room = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(room))
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)):
        if libc.prctl(*arguments):
            sys.exit(NOT_HERE)


if __name__ == "__main__":
    forbid(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
