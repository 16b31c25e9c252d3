//! The program inside each sandbox: PID 1, and the one that acts for the host.

fn main() {}
