//! The `arvados-dispatch-cloud` binary.
fn main() {}
