"""Simulation of endpoints under a traffic trace: money and waiting time of a configuration before it is deployed."""
