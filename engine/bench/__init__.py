"""Benchmarks and the JACK test bench: a server of one's own, an independent witness, the figures.

jackd        a private JACK server with the dummy driver
native       witness.c compiled on demand, started, its captures and cycle log read
scsynth      the SuperCollider server under a comparable mix
stats        percentiles and excess misses
latency      `segue bench latency`
forward      `segue bench forward`
performance  `segue bench performance`, with the modules of measures/
"""
