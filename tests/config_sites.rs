//! A hundred files of sites: each is usable, and `config check` prints what the reference would do differently, or
//! nothing.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod config_support;

use std::path::Path;
use std::process::{Command, Stdio};

use config_support::TestKey;

/// The least that a site must say, section by section: a file that has a section has it whole.
const LEAST: [(&str, &str); 5] = [
    ("ManagementToken", "ManagementToken: e687950a23c3a9bceec28c6223a06c79\n"),
    ("SystemRootToken", "SystemRootToken: v2/zzzzz-gj3su-0123456789abcde/a6c79e687950a23c3a9bceec28c6223\n"),
    (
        "Services",
        "Services:\n  Controller: {ExternalURL: \"https://zzzzz.example.com/\"}\n  DispatchCloud: {InternalURLs: {\"http://localhost:9006\": {}}}\n",
    ),
    (
        "Containers",
        "Containers:\n  DispatchPrivateKey: @KEY@\n  CloudVMs: {Enable: true, ImageID: ami-01234567890abcdef, Driver: ec2, DriverParameters: {Region: us-east-1}}\n",
    ),
    (
        "InstanceTypes",
        "InstanceTypes:\n  m5large: {ProviderType: m5.large, VCPUs: 2, RAM: 8GiB, AddedScratch: 100GB, Price: 0.096}\n",
    ),
];

/// A file and what `config check` says of it.
struct Site {
    name: String,
    text: String,
    warnings: Vec<String>,
}

fn sites(key: &Path) -> Vec<Site> {
    let data = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sites.txt")).unwrap();
    let mut sites = Vec::new();
    for block in data.split("\n=== ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap_or((block, ""));
        let (told, lines): (Vec<_>, Vec<_>) = rest.lines().partition(|line| line.starts_with("! "));
        let text = whole(&lines.join("\n")).replace("@KEY@", &format!("file://{}", key.display()));
        let warnings = told.iter().map(|line| line[2..].to_owned()).collect();
        sites.push(Site { name: name.to_owned(), text, warnings });
    }
    sites
}

/// The file that a fragment makes.
fn whole(fragment: &str) -> String {
    if let Some(raw) = fragment.strip_prefix("@RAW") {
        let least = whole("");
        return format!("{raw}\n").replace("@CRLF@", &least.replace('\n', "\r\n")).replace("@ALL@", &least);
    }
    let has = |section: &str| fragment.lines().any(|line| line.starts_with(&format!("{section}:")));
    let least = LEAST.iter().filter(|(section, _)| !has(section)).map(|(_, text)| *text);
    let text: String = least.chain([fragment, "\n"]).collect();
    let indented =
        text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") });
    format!("Clusters:\n  zzzzz:\n{}", indented.collect::<String>())
}

/// The warnings of `config check`; it must be content.
fn check(file: &Path) -> Result<Vec<String>, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arvados-dispatch-cloud"));
    command.env_clear().arg("--config").arg(file).args(["config", "check"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    if !output.status.success() {
        return Err(told);
    }
    Ok(told.lines().map(str::to_owned).collect())
}

#[test]
fn a_hundred_files_of_sites_are_read_and_differences_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, TestKey::new().pem()).unwrap();
    let sites = sites(&key);
    assert!(sites.len() >= 100, "{}", sites.len());
    let mut faults = Vec::new();
    for Site { name, text, warnings } in &sites {
        let file = directory.path().join("config.yml");
        std::fs::write(&file, text).unwrap();
        match check(&file) {
            Err(told) => faults.push(format!("{name}: refused: {told}")),
            Ok(told) => {
                let is_told = |words: &String| told.iter().any(|line| line.contains(words.as_str()));
                let missing: Vec<_> = warnings.iter().filter(|words| !is_told(words)).collect();
                if told.len() != warnings.len() || !missing.is_empty() {
                    faults.push(format!("{name}: {missing:?} is missing in {told:#?}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
