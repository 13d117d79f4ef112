"""Novation's Launchpad Pro MK3, and the Launchpad Pro before it.

mk3, pro: protocol and our driver. launchpad_py: the MK3's through the package of that name. units:
how each is found and greeted. restore: a mode of its own again after a crash. emulated: the MK3 at
its wire; emulator: with JACK ports; emulator_page: in the browser; drawing: as a picture.

What is shown and pressed knows no device (engine/surface.py), so a screen may show it too: layout,
where things are; pages/, each page; hand, what one pair of hands holds and looks at; view, all of
it read from the conductor; labels, in words; sheet, as pictures. surface_driver: presses and light
of a unit, by way of the midi process.
"""

from __future__ import annotations

from devices.launchpad.mk3 import Driver, Mk3
from devices.launchpad.pro import Pro


def open_driver(driver: str) -> Driver:
    """The driver a patch names (Surface.driver). Raises ValueError for another name."""
    if driver == "mk3":
        return Mk3()
    if driver == "launchpad-py":
        from devices.launchpad.launchpad_py import LaunchpadPy

        return LaunchpadPy()
    if driver == "pro":
        return Pro()
    raise ValueError(f"surface driver is {driver!r}, expected mk3, launchpad-py or pro")
