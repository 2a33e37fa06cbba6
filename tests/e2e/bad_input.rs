//! `run` with what it cannot use: one clear line on stderr, exit 1, soon.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::service::{command, finish};
use crate::support::{Ended, Site};

const AT_ONCE: Duration = Duration::from_secs(60);

/// Runs it with the configuration as it was written.
async fn run(site: &Site, environment: &[(&str, &str)]) -> Ended {
    finish(&mut command(site, &["run"], environment), AT_ONCE).await
}

/// It ended with 1; besides log lines, which are JSON, there is one line, and these words are in it.
#[track_caller]
fn assert_told(ended: &Ended, words: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    let lines: Vec<_> = ended.stderr.lines().filter(|line| !line.starts_with('{')).collect();
    let [line] = lines[..] else { panic!("one line is wanted: {ended:?}") };
    for word in words {
        assert!(line.contains(word), "{word:?} is not in: {line}");
    }
}

/// Where something is in `config.yml`: `FILE:LINE:`.
fn place(site: &Site, what: &str) -> String {
    let file = site.path("config.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = text.lines().position(|line| line.contains(what)).unwrap() + 1;
    format!("{}:{line}:", file.display())
}

#[actix_rt::test]
async fn a_configuration_that_is_not_there_is_named() {
    let site = Site::new();
    let file = site.path("config.yml").display().to_string();
    assert_told(&run(&site, &[]).await, &[&file, "cannot read it"]);
}

#[actix_rt::test]
async fn a_configuration_that_is_no_yaml_is_told_with_its_line() {
    let site = Site::new();
    let file = site.write_text("Clusters:\n  zzzzz:\n    ManagementToken: [\n").display().to_string();
    assert_told(&run(&site, &[]).await, &[&format!("{file}:")]);
}

#[actix_rt::test]
async fn a_wrong_value_is_told_with_file_line_path_and_what_is_accepted() {
    let mut site = Site::new();
    site.cloud()["MaxInstances"] = "many".into();
    site.write_config();
    let place = place(&site, "\"MaxInstances\"");
    let path = "Clusters.zzzzz.Containers.CloudVMs.MaxInstances";
    assert_told(&run(&site, &[]).await, &[&place, path, "many"]);
}

#[actix_rt::test]
async fn a_wrong_key_is_told_and_not_shown() {
    let mut site = Site::new();
    let missing = site.path("no-key").display().to_string();
    let text = site.path("not-a-key");
    std::fs::write(&text, "sesame, open\n").unwrap();
    for (setting, words) in [
        (format!("file://{missing}"), [missing.as_str(), "No such file"]),
        (format!("file://{}", text.display()), [text.to_str().unwrap(), "no usable private key"]),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nsesame\n".to_owned(), ["the configuration", "PEM"]),
    ] {
        site.cluster()["Containers"]["DispatchPrivateKey"] = setting.into();
        site.write_config();
        let ended = run(&site, &[]).await;
        assert_told(&ended, &[&["Containers.DispatchPrivateKey"], words.as_slice()].concat());
        assert!(!ended.stderr.contains("sesame"), "{ended:?}");
    }
}

#[actix_rt::test]
async fn a_missing_ssh_client_is_told_with_its_package() {
    let site = Site::new();
    site.write_config();
    assert_told(&run(&site, &[("PATH", "/nonexistent")]).await, &["cannot run ssh", "openssh-client"]);
}

#[actix_rt::test]
async fn a_port_that_is_taken_is_told() {
    let mut site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let urls = serde_json::json!({ format!("http://{address}"): {} });
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] = urls;
    site.write_config();
    assert_told(&run(&site, &[]).await, &[&address, "in use", "InternalURLs"]);
}

#[actix_rt::test]
async fn drivers_that_there_are_not_are_told_with_those_that_there_are() {
    let mut site = Site::new();
    for (driver, words) in [("gke", ["gke", "loopback"]), ("Azure", ["Azure", "azure"])] {
        site.cloud()["Driver"] = driver.into();
        site.cloud()["DriverParameters"] = serde_json::json!({});
        site.write_config();
        assert_told(&run(&site, &[]).await, &words);
    }
}

#[actix_rt::test]
async fn an_endpoint_that_is_no_url_is_told_before_anything_starts() {
    let mut site = Site::new();
    site.cloud()["Driver"] = "ec2".into();
    site.cloud()["ImageID"] = "ami-1".into();
    site.cloud()["DriverParameters"] = serde_json::json!({
        "AccessKeyID": "testing", "SecretAccessKey": "testing", "Region": "us-east-1",
    });
    site.write_config();
    let environment = [("AWS_ENDPOINT_URL_EC2", "not a url"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:9/")];
    assert_told(&run(&site, &environment).await, &["CloudVMs.Driver", "`not a url`", "AWS_ENDPOINT_URL_EC2"]);
}

#[actix_rt::test]
async fn a_state_directory_that_cannot_be_used_is_named() {
    let mut site = Site::new();
    let file = site.path("a-file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = file.join("cloud").display().to_string();
    for (directory, words) in [
        (below_a_file.as_str(), ["loopback cloud", below_a_file.as_str()]),
        (file.to_str().unwrap(), ["loopback cloud", file.to_str().unwrap()]),
        ("cloud", ["cloud", "not an absolute path"]),
    ] {
        site.cloud()["DriverParameters"]["StateDirectory"] = directory.into();
        site.write_config();
        assert_told(&run(&site, &[]).await, &words);
    }
}

#[actix_rt::test]
async fn a_runtime_directory_that_cannot_be_used_is_named() {
    let site = Site::new();
    site.write_config();
    let long = site.path(&"long".repeat(20)).display().to_string();
    assert_told(&run(&site, &[("RUNTIME_DIRECTORY", &long)]).await, &[&long, "too long"]);
    let file = site.path("config.yml").display().to_string();
    assert_told(&run(&site, &[("RUNTIME_DIRECTORY", &file)]).await, &[&file, "runtime directory"]);
}

#[actix_rt::test]
async fn https_without_a_certificate_is_told() {
    let mut site = Site::new();
    let urls = serde_json::json!({ "https://127.0.0.1:0": {} });
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] = urls;
    site.write_config();
    assert_told(&run(&site, &[]).await, &["TLS.Certificate", "https"]);
    let missing = site.path("no-certificate").display().to_string();
    site.cluster()["TLS"] = serde_json::json!({ "Certificate": missing, "Key": missing });
    site.write_config();
    assert_told(&run(&site, &[]).await, &["TLS", &missing]);
}
