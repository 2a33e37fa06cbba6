//! Criterion's estimates, read back from where it writes them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The estimates of this run.
pub struct Figures {
    directory: PathBuf,
}

impl Figures {
    /// Under `target/`; those of earlier runs stay criterion's baseline and are not ours.
    pub fn new() -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("criterion");
        for benchmark in folders(&directory).iter().flat_map(|group| folders(group)) {
            // Nothing measured yet is no fault.
            let _ = fs::remove_file(benchmark.join("new/estimates.json"));
        }
        Self { directory }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The median in milliseconds; `None` if it was not measured in this run.
    pub fn millis(&self, group: &str, id: &str) -> Option<f64> {
        let path = self.directory.join(group).join(id).join("new/estimates.json");
        let estimates: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Some(estimates["median"]["point_estimate"].as_f64()? / 1e6)
    }

    pub fn shown(&self, group: &str, id: &str) -> String {
        self.millis(group, id).map_or_else(|| "-".to_owned(), |millis| format!("{millis:.3}"))
    }
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
