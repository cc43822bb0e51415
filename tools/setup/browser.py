#!/usr/bin/env python3
"""Sees to a Chromium for the tests that look at pages in a browser."""

import os
import shutil
import subprocess
import sys

from common import say

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]


def main():
    if os.environ.get("CHROMIUM") or any(shutil.which(name) for name in NAMES):
        return
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    may = shutil.which("apt-get") and (not prefix or subprocess.run([*prefix, "true"], capture_output=True).returncode == 0)
    if may:
        say("installing chromium for the browser tests")
        environment = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
        subprocess.run([*environment, "apt-get", "-qq", "update"])
        subprocess.run([*environment, "apt-get", "-qq", "install", "-y", "--no-install-recommends", "chromium"], stdout=subprocess.DEVNULL)
    if not any(shutil.which(name) for name in NAMES):
        say("no Chromium found: the browser tests will fail. Install one (sudo apt-get install chromium), or name one in CHROMIUM=")


main()
