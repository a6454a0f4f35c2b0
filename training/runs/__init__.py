"""How a run is asked for, claimed, carried out and survived."""
