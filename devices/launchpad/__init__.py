"""Novation Launchpad Pro MK3.

mk3: protocol and our driver. launchpad_py: the same through the package of that name. layout: what
the page shows and what its pads do. restore: Live mode again after a crash.
"""

from __future__ import annotations

from devices.launchpad.mk3 import Driver, Mk3


def open_driver(driver: str) -> Driver:
    """The driver a patch names (Surface.driver). Raises ValueError for another name."""
    if driver == "mk3":
        return Mk3()
    if driver == "launchpad-py":
        from devices.launchpad.launchpad_py import LaunchpadPy

        return LaunchpadPy()
    raise ValueError(f"surface driver is {driver!r}, expected mk3 or launchpad-py")
