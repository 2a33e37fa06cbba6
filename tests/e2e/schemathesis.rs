//! The API is as it says of itself: schemathesis (PyPI) asks a living demo whatever its description allows, and much that
//! it forbids.
//!
//! ```text
//!   demo ── openapi.json, names of what there is ──► files ──► schemathesis ── requests, right and wrong ──► demo
//!                              schemathesis.toml: all checks, and the same questions each time ──┘
//! ```

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command;

use crate::scenarios::Living;
use crate::support::service::finish;
use crate::support::{SOON, until};

const VENV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/schemathesis-venv");
const CONFIG: &str = include_str!("schemathesis.toml");
const API: &str = "/arvados/v1/dispatch";
/// It takes half a minute on a machine that does nothing else.
const WITHIN: Duration = Duration::from_secs(600);
/// How many instances there are to give orders about.
const INSTANCES: u32 = 4;

fn program() -> PathBuf {
    let venv = std::env::var_os("DISPATCH_SCHEMATHESIS_VENV").map_or_else(|| VENV.into(), PathBuf::from);
    let program = venv.join("bin/schemathesis");
    assert!(program.exists(), "no {}: run scripts/test once, it puts it there", program.display());
    program
}

/// What a list has under that name.
async fn names(demo: &Living, list: &str, name: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(&demo.get(&format!("{API}/{list}")).await).unwrap();
    let named = |item: &Value| item.pointer(name).unwrap().as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(named).filter(|it| !it.is_empty()).collect()
}

/// A file of names that schemathesis sends.
fn write_names(place: &Path, file: &str, names: &[String]) {
    let lines: Vec<_> = names.iter().map(|name| format!("{name:?}\n")).collect();
    std::fs::write(place.join(file), lines.concat()).unwrap();
}

/// All that it reads, in one place.
async fn prepare(demo: &Living, place: &Path) {
    let instances = until("there are instances", 2 * SOON, async || {
        let names = names(demo, "instances", "/instance").await;
        (names.len() == INSTANCES as usize).then_some(names)
    })
    .await;
    for id in &instances {
        // Otherwise they would be gone when their work is done.
        demo.post(&format!("{API}/instances/hold"), &format!("instance_id={id}")).await;
    }
    write_names(place, "instances.dict", &instances);
    write_names(place, "containers.dict", &names(demo, "containers", "/container/uuid").await);
    write_names(place, "types.dict", &names(demo, "creates", "/instance_type").await);
    std::fs::write(place.join("schemathesis.toml"), CONFIG).unwrap();
}

/// Writes the description, and tells how many operations it has.
async fn write_description(demo: &Living, place: &Path) -> usize {
    let text = demo.get(&format!("{API}/openapi.json")).await;
    std::fs::write(place.join("openapi.json"), &text).unwrap();
    let description: Value = serde_json::from_str(&text).unwrap();
    description["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum()
}

#[actix_rt::test]
async fn the_api_does_what_its_description_says() {
    let demo = Living::with("quota", INSTANCES).await;
    let place = tempfile::tempdir().unwrap();
    prepare(&demo, place.path()).await;
    let operations = write_description(&demo, place.path()).await;
    let mut command = Command::new(program());
    command.args([
        "--config-file",
        "schemathesis.toml",
        "run",
        "--no-color",
        "--url",
        &demo.url,
        "openapi.json",
    ]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("DISPATCH_TOKEN", &demo.token);
    // What it writes goes with the place.
    command.current_dir(place.path()).env("HOME", place.path()).stdin(Stdio::null()).kill_on_drop(true);
    let ended = finish(&mut command, WITHIN).await;
    let told = format!("{}\n{}", ended.stdout, ended.stderr);
    assert!(!told.contains(&demo.token), "the token was printed");
    assert_eq!(ended.code, Some(0), "{told}");
    assert!(told.contains(&format!("Tested: {operations}\n")), "not each operation was asked: {told}");
    demo.end(Signal::TERM).await;
}
