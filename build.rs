//! Tells the program which commit it is built from: `DISPATCH_BUILT_VERSION`, read by `src/lib.rs` alone.
//!
//! ```text
//!   DISPATCH_VERSION of the environment (packagers, images) ─┐
//!   git, if this folder is a checkout                       ─┼─ the first that there is ─> version
//!   .git-archival.txt, which `git archive` fills            ─┤
//!   the version of Cargo.toml alone                         ─┘
//! ```
//! It runs again when the checkout moves to another commit, and not otherwise; then this package is built again, and
//! none of the other crates.

use std::path::Path;
use std::process::Command;

#[path = "src/version.rs"]
mod version;

fn main() {
    let number = std::env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/version.rs");
    println!("cargo::rerun-if-changed=.git-archival.txt");
    println!("cargo::rerun-if-env-changed=DISPATCH_VERSION");
    let given = std::env::var("DISPATCH_VERSION").ok().filter(|it| !it.is_empty());
    let built = given.unwrap_or_else(|| version::full(&number, commit(Path::new(&root)).as_deref()));
    assert!(version::is_usable(&built), "DISPATCH_VERSION is not a version: {built:?}");
    println!("cargo::rustc-env=DISPATCH_BUILT_VERSION={built}");
}

/// `time hash names`, of git or of the archive.
fn commit(root: &Path) -> Option<String> {
    let archived = || std::fs::read_to_string(root.join(".git-archival.txt")).ok();
    if is_checkout(root) { of_checkout(root) } else { archived() }
}

/// In a checkout of something else, which this folder lies in, a commit would say nothing about us.
fn is_checkout(root: &Path) -> bool {
    let top =
        git(root, &["rev-parse", "--show-toplevel"]).and_then(|top| Path::new(&top).canonicalize().ok());
    top.is_some() && top == root.canonicalize().ok()
}

fn of_checkout(root: &Path) -> Option<String> {
    // The log of HEAD changes with each commit, checkout and reset. What does not exist must not be named: cargo would
    // run this each time.
    for name in ["HEAD", "logs/HEAD", "refs/tags", "packed-refs"] {
        let path = git(root, &["rev-parse", "--git-path", name]).map(|path| root.join(path));
        if let Some(path) = path.filter(|it| it.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(root, &["log", "-1", "--format=%ct %h %D"])
}

/// What git prints; `None` if there is no git, or it fails.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
