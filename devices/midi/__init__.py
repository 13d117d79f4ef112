"""MIDI ports: parse (bytes to messages), ledger (what sounds), route (performers to rings),
answers (players to ports), safe (DRY, panic, master), ports (the port table and its life),
transport (python-rtmidi), surface_port (a Launchpad's side of the process), process (the loop)."""
