//! `--stdin-prices`: stores what the instance costs, for present and later runners.

use std::io::{Read, Write};

use serde::Deserialize;

use crate::RunnerError;
use crate::locks::LockDir;

/// The file from which runners read the prices.
const FILE: &str = "crunch-run-prices.json";

/// One price, which is only checked. The text is stored as it came.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PricePoint {
    #[expect(dead_code, reason = "must be there")]
    start_time: String,
    #[expect(dead_code, reason = "must be there")]
    price: f64,
}

/// Stores the prices. They are written to another file, which is renamed, so that a runner reads either the
/// old or the new ones.
pub(crate) fn store(directory: &LockDir, mut stdin: impl Read) -> Result<(), RunnerError> {
    let failed = |error: &dyn std::fmt::Display| RunnerError::Prices(error.to_string());
    let mut text = Vec::new();
    stdin.read_to_end(&mut text).map_err(|error| failed(&error))?;
    serde_json::from_slice::<Vec<PricePoint>>(&text).map_err(|error| failed(&error))?;
    let mut aside = tempfile::NamedTempFile::with_prefix_in("crunch-run-prices~", directory.file("."))
        .map_err(|error| failed(&error))?;
    aside.write_all(&text).map_err(|error| failed(&error))?;
    aside.persist(directory.file(FILE)).map_err(|error| failed(&error))?;
    Ok(())
}
