//! Which trajectories go into a dataset: keep or drop, always with a reason, everything counted.
