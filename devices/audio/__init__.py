"""The audio interface: finding it, its clock, and the process that plays through it."""
