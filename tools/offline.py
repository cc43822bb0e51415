#!/usr/bin/env python3
"""Runs a command with the network refused: `offline.py COMMAND [ARGUMENT..]`.

Where Linux lets it, the command gets a network of its own that holds nothing but this machine's loopback, which Jupyter
needs to speak with its kernels: whatever asks for more fails, by whichever way it asks. Elsewhere (some containers) it
says so, and only what keeps to the usual variables is refused.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
# The discard port: nobody answers there.
NOBODY = "http://127.0.0.1:9"


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def leave_network():
    """Moves this process into a network of its own, and says whether that worked."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET) != 0:
        # Who is not root may do it as the root of a user namespace.
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            return False
        try:
            for name, text in [("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")]:
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
        except OSError as error:
            sys.exit(f"offline: the network is gone, but {error}; run the command without tools/offline.py")
    raise_loopback()
    return True


def environment():
    proxies = {name: NOBODY for proxy in ("http_proxy", "https_proxy", "all_proxy") for name in (proxy, proxy.upper())}
    local = "127.0.0.1,localhost"
    return os.environ | proxies | {"no_proxy": local, "NO_PROXY": local, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": NOBODY}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if not leave_network():
        print("offline: no network of its own is to be had here; only proxies and the Hub's address lead nowhere", file=sys.stderr)
    os.execvpe(sys.argv[1], sys.argv[1:], environment())


if __name__ == "__main__":
    main()
