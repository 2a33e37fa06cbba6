//! Every endpoint of EC2 that Amazon's own client knows.

use std::process::Command;

use crate::endpoint::{Endpoint, Variants};

#[test]
fn every_region_is_called_where_botocore_calls_it() {
    let python = dispatch_sim::moto::python().unwrap_or_else(|error| panic!("{error}"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/endpoints.py");
    let output = Command::new(python).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<(String, bool, bool, String)> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(theirs.len() > 4 * 40, "{}", theirs.len());
    let ours = theirs.iter().map(|(region, fips, dual_stack, _)| {
        let variants = Variants { fips: *fips, dual_stack: *dual_stack };
        let url = Endpoint::new(region, variants, None).unwrap().url;
        (region.clone(), *fips, *dual_stack, url.as_str().trim_end_matches('/').to_owned())
    });
    assert_eq!(ours.collect::<Vec<_>>(), theirs);
}
