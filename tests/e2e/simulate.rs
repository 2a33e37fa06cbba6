//! `simulate` as a program: tables and logs in, tables, JSON and pictures out, and what it says to what it cannot use.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use russh::keys::{Algorithm, PrivateKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::DISPATCHER;

/// A directory with configurations and histories. No service, no controller, no cloud.
struct Desk {
    directory: TempDir,
    private_key: String,
}

impl Desk {
    fn new() -> Self {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let private_key = key.to_openssh(Default::default()).unwrap().to_string();
        Self { directory: tempfile::tempdir().unwrap(), private_key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A site with types of 2 and 8 CPUs at 0.2 and 0.8 an hour.
    fn configure(&self, name: &str, max_instances: u32) {
        let of = |vcpus: u64| json!({ "VCPUs": vcpus, "RAM": "16GiB", "IncludedScratch": "100GB", "Price": 0.1 * vcpus as f64 });
        let config = json!({ "Clusters": { "zzzzz": {
            "ManagementToken": "m",
            "SystemRootToken": "s",
            "Services": { "Controller": { "ExternalURL": "https://zzzzz.example.com" } },
            "Containers": {
                "DispatchPrivateKey": self.private_key,
                "CloudVMs": {
                    "ImageID": "ami-1",
                    "MaxInstances": max_instances,
                    "MaxConcurrentInstanceCreateOps": 0,
                },
            },
            "InstanceTypes": { "small": of(2), "large": of(8) },
        } } });
        self.write(name, &config.to_string());
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(DISPATCHER);
        command.env_clear().current_dir(self.directory.path()).stdin(Stdio::null());
        command.arg("simulate").args(arguments).output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// It ends with that code, says nothing on stdout, and one line on stderr.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let told: Vec<_> = stderr.lines().filter(|line| !line.contains("warning:")).collect();
        assert_eq!((output.status.code(), told.len()), (Some(code), 1), "{stderr}");
        assert!(output.stdout.is_empty() && words.iter().all(|word| told[0].contains(word)), "{stderr}");
    }
}

/// Thirty jobs of two CPUs and 100 s each, all submitted at once.
fn thirty() -> String {
    let row = "2026-11-30T08:00:00Z,2,1GiB,100\n";
    format!("submitted_at,vcpus,ram,duration\n{}", row.repeat(30))
}

#[test]
fn two_configurations_are_compared_by_table_json_and_picture() {
    let desk = Desk::new();
    desk.configure("one.yml", 1);
    desk.configure("ten.yml", 10);
    desk.write("jobs.csv", &thirty());
    let both = ["--csv", "jobs.csv", "--config", "one.yml", "--config", "ten.yml"];
    let json: Value = serde_json::from_str(&desk.succeeds(&[&both[..], &["--json"]].concat())).unwrap();
    assert_eq!(json["history"]["jobs"], 30);
    assert_eq!(json["history"]["first_submission"], "2026-11-30T08:00:00Z");
    assert_eq!((&json["history"]["lines"], &json["history"]["left_out"]), (&Value::Null, &json!({})));
    assert_eq!(json["cloud"], json!({ "create_seconds": 2, "boot_seconds": 60, "end_seconds": 30 }));
    let [one, ten] = &json["configurations"].as_array().unwrap()[..] else { panic!("two: {json}") };
    for (played, name, instances) in [(one, "one.yml", 1), (ten, "ten.yml", 10)] {
        assert_eq!(played["configuration"], name);
        assert_eq!((&played["containers"], &played["completed"]), (&json!(30), &json!(30)));
        let made = json!({ "booted": instances, "peak": instances, "by_type": { "small": instances } });
        assert_eq!(played["instances"], made);
        // 3000 s of work at 0.2 an hour, and a minute of boot for each instance.
        assert_eq!(played["cost"]["busy"], 0.1667);
        let wait = played["wait_seconds"]["max"].as_f64().unwrap();
        let before = f64::from(30 / instances - 1) * 100.0;
        assert!((before + 62.0..before + 120.0).contains(&wait), "{played}");
    }
    let total = |played: &Value| played["cost"]["total"].as_f64().unwrap();
    assert!(total(ten) > total(one), "{json}");

    let table = desk.succeeds(&[&both[..], &["--header", "--svg", "both.svg"]].concat());
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0][..4], ["configuration", "p50", "p95", "longest"], "{table}");
    assert_eq!((rows[1][0], rows[2][0], rows.len()), ("one.yml", "ten.yml", 3), "{table}");
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{table}");
    let picture = std::fs::read_to_string(desk.path("both.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    assert!(picture.contains(">one.yml<") && picture.contains(">ten.yml<"));

    // The same bytes again: nothing depends on the clock, or on which configuration is done first.
    assert_eq!(table, desk.succeeds(&[&both[..], &["--header", "--svg", "again.svg"]].concat()));
    assert_eq!(picture, std::fs::read_to_string(desk.path("again.svg")).unwrap());
}

/// A log of the Go program's, with all that may be wrong with a log.
fn log() -> String {
    let mut log = String::from("Nov 30 08:00:00 host systemd[1]: Started it.\n");
    let mut say = |second: u32, message: &str, container: u32, more: &str| {
        let (minute, second) = (second / 60, second % 60);
        let _ = writeln!(
            log,
            r#"{{"ContainerUUID":"zzzzz-dz642-{container:015}","PID":7,"level":"info","msg":"{message}","time":"2026-11-30T08:{minute:02}:{second:02}.000000000Z"{more}}}"#
        );
    };
    for container in 0..5 {
        say(
            container,
            "adding container to queue",
            container,
            r#","InstanceTypes":["small"],"Priority":5,"State":"Queued""#,
        );
    }
    for container in 0..4 {
        let there = format!(r#","Instance":"i-{container}","InstanceType":"small","Address":"10.0.0.1""#);
        say(100 + container, "crunch-run process started", container, &there);
        say(400 + container, "crunch-run process ended", container, &there);
    }
    log + r#"{"ContainerUUID":"zzzzz-dz642-00000000"#
}

#[test]
fn a_log_is_a_history_and_what_it_does_not_tell_is_told() {
    let desk = Desk::new();
    desk.configure("one.yml", 1);
    desk.write("log", &log());
    let json: Value = serde_json::from_str(
        &desk.succeeds(&["--log", "log", "--log", "log", "--config", "one.yml", "--json"]),
    )
    .unwrap();
    assert_eq!(json["history"]["jobs"], 4);
    let lines = json!({ "all": 30, "used": 13, "of_no_container": 0, "repeated": 13, "not_understood": 4 });
    assert_eq!(json["history"]["lines"], lines);
    assert_eq!(json["history"]["left_out"], json!({ "they were never started": 1 }));
    assert_eq!(json["configurations"][0]["completed"], 4);
    // 4 × 300 s at 0.2 an hour.
    assert_eq!(json["configurations"][0]["cost"]["busy"], 0.0667);
    let output = desk.run(&["--log", "log", "--config", "one.yml"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("note: 1 containers left out: they were never started"), "{stderr}");
}

#[test]
fn what_cannot_be_used_is_told_in_a_line_with_its_place() {
    let desk = Desk::new();
    desk.configure("site.yml", 4);
    desk.write("jobs.csv", "submitted_at,vcpus,ram,duration\n1,2,3,4\n1,2,lots,4\n");
    desk.write("good.csv", "submitted_at,vcpus,ram,duration\n1,2,3,4\n");
    desk.write("empty.log", "nothing\n");
    desk.write("broken.yml", "Clusters: {zzzzz: {ManagementToken: [}}\n");
    let site = ["--config", "site.yml"];
    let with = |more: &[&'static str]| [&site[..], more].concat();
    desk.refuses(
        &with(&["--csv", "jobs.csv"]),
        1,
        &["jobs.csv:3: column 3 (ram): `lots` is not a size such as"],
    );
    desk.refuses(&with(&["--csv", "none.csv"]), 1, &["cannot read none.csv: No such file"]);
    desk.refuses(
        &with(&["--log", "empty.log"]),
        1,
        &["there is no job to play: 1 lines, 0 of them about containers"],
    );
    desk.refuses(
        &with(&["--csv", "good.csv", "--svg", "no/such.svg"]),
        1,
        &["cannot write no/such.svg: No such file"],
    );
    desk.refuses(&with(&[]), 2, &["--log <FILE>", "--csv <FILE>", "try --help"]);
    desk.refuses(&with(&["--csv", "a", "--log", "b"]), 2, &["cannot be used with"]);
    for wrong in ["0", "3601", "soon"] {
        let refused = with(&["--csv", "a", "--boot-seconds", wrong]);
        desk.refuses(&refused, 2, &["--boot-seconds", wrong, "whole seconds from 1 to 3600 are wanted"]);
    }
    desk.refuses(
        &["--csv", "good.csv", "--config", "broken.yml", "--config", "site.yml"],
        2,
        &["broken.yml:1:"],
    );
    desk.refuses(&["--csv", "good.csv", "--config", "none.yml"], 2, &["none.yml", "cannot read it"]);
    assert!(!Path::new(&desk.path("no")).exists());
}
