//! What is to be done and who does it: the plan of a run, its durable queue, leases and retries.
