//! The binary's answers: exit codes, one line an error, results on stdout.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod config_support;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use config_support::{TestKey, minimal};
use serde_json::Value;

fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arvados-dispatch-cloud"));
    for variable in [
        "ARVADOS_CONFIG",
        "ARVADOS_CLUSTER_ID",
        "ARVADOS_SERVICE_INTERNAL_URL",
        "ARVADOS_API_HOST",
        "AWS_ENDPOINT_URL",
    ] {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    binary(arguments).output().unwrap()
}

fn with_stdin(arguments: &[&str], stdin: &str) -> Output {
    let mut child = binary(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[track_caller]
fn assert_one_line(output: &Output, code: i32, words: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn check_says_that_a_good_configuration_is_usable() {
    let file = file(&minimal(&TestKey::new(), "    InstanceTypes: {a: {VCPUs: 1, RAM: 1GiB, Price: 0.1}}\n"));
    let output = run(&["config", "check", "--strict", "--config", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told: Vec<_> = stderr(&output).lines().collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("warning: ") && told[0].contains("Containers.CloudVMs.Enable"), "{told:#?}");
    assert!(told[1].contains("note: SystemRootToken is a v1 token"), "{told:#?}");
    assert_eq!(stdout(&output), "cluster zzzzz: configuration is usable, 1 warning\n");
}

#[test]
fn check_tells_place_path_value_and_what_is_accepted_and_exits_2() {
    let more = "    API:\n      RequestTimeout: 10\n    InstanceTypes: {a: {VCPUs: 1, RAM: 1GiB}}\n";
    let file = file(&minimal(&TestKey::new(), more));
    let name = file.path().to_str().unwrap();
    let output = run(&["-config", name, "config", "check"]);
    let place = format!("{name}:10:23: Clusters.zzzzz.API.RequestTimeout: `10`");
    assert_one_line(&output, 2, &[&place, "10s, 1h30m"]);
}

#[test]
fn strict_refuses_unknown_keys() {
    let text = minimal(&TestKey::new(), "    API: {RequestTimout: 1m}\n");
    let output = with_stdin(&["--config", "-", "config", "check"], &text);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("did you mean RequestTimeout?"), "{}", stderr(&output));
    let output = with_stdin(&["--config", "-", "config", "check", "--strict"], &text);
    assert_one_line(&output, 2, &["-:9:11: Clusters.zzzzz.API.RequestTimout", "unknown key"]);
}

#[test]
fn a_v2_token_needs_no_note() {
    let text = minimal(&TestKey::new(), "")
        .replace("SystemRootToken: s", "SystemRootToken: v2/zzzzz-gj3su-000000000000000/abc");
    let output = with_stdin(&["--config", "-", "config", "check"], &text);
    assert!(output.status.success() && !stderr(&output).contains("note:"), "{}", stderr(&output));
}

#[test]
fn unsafe_settings_are_warnings_and_errors_if_strict() {
    let strict = |text: &str| with_stdin(&["--config", "-", "config", "check", "--strict"], text);
    let lax = |text: &str| with_stdin(&["--config", "-", "config", "check"], text);
    let safe = minimal(&TestKey::new(), "");
    let insecure = minimal(&TestKey::new(), "    TLS: {Insecure: true}\n");
    let clear = safe.replace("ExternalURL: https://zzzzz", "ExternalURL: http://zzzzz");
    let websocket = |url: &str| {
        safe.replace(
            "      Controller:",
            &format!("      Websocket: {{ExternalURL: \"{url}\"}}\n      Controller:"),
        )
    };
    for (text, words) in [
        (&insecure, "TLS.Insecure: true: any certificate"),
        (&clear, "Controller.ExternalURL: http to another"),
        (&websocket("ws://ws.zzzzz.example.com"), "Websocket.ExternalURL: ws to another"),
    ] {
        assert!(lax(text).status.success() && stderr(&lax(text)).contains(words), "{}", stderr(&lax(text)));
        assert_one_line(&strict(text), 2, &[words]);
    }
    let near = safe.replace("ExternalURL: https://zzzzz.example.com", "ExternalURL: http://127.0.0.1:8000");
    for text in [near, websocket("wss://ws.zzzzz.example.com"), websocket("http://localhost:8005")] {
        assert!(strict(&text).status.success(), "{}", stderr(&strict(&text)));
    }
}

#[test]
fn a_configuration_that_everybody_may_write_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = file(&minimal(&TestKey::new(), ""));
    let check = |mode: u32, arguments: &[&str]| {
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let name = ["--config", file.path().to_str().unwrap(), "config", "check"];
        run(&[&name, arguments].concat())
    };
    assert!(!stderr(&check(0o664, &[])).contains("everybody"));
    assert!(stderr(&check(0o666, &[])).contains("everybody on this machine may write it"));
    assert!(check(0o666, &[]).status.success());
    assert_one_line(
        &check(0o646, &["--strict"]),
        2,
        &["everybody on this machine may write it", "chmod o-w"],
    );
}

#[test]
fn strict_refuses_a_key_that_is_given_twice() {
    let text = minimal(&TestKey::new(), "    API: {RequestTimeout: 1m}\n    API: {}\n");
    let output = with_stdin(&["--config", "-", "config", "check"], &text);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = with_stdin(&["--config", "-", "config", "check", "--strict"], &text);
    assert_one_line(&output, 2, &["-:10:5: Clusters.zzzzz.API: given twice, in lines 9 and 10"]);
}

#[test]
fn of_an_option_that_is_given_twice_the_last_one_counts() {
    let file = file(&minimal(&TestKey::new(), ""));
    let name = file.path().to_str().unwrap();
    let output = run(&["-config", "/nonexistent/x.yml", "-config", name, "config", "check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = run(&["-config", name, "config", "check", "--config", "/nonexistent/x.yml"]);
    assert_one_line(&output, 2, &["/nonexistent/x.yml"]);
}

#[test]
fn help_is_a_command_too() {
    let help = run(&["help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("Examples:"), "{}", stdout(&help));
    assert!(stdout(&run(&["help", "config"])).contains("check"));
    assert_eq!(stdout(&run(&["-version=true"])), stdout(&run(&["--version"])));
}

#[test]
fn strict_refuses_unknown_parameters_of_ec2_and_takes_those_of_another_driver() {
    let site = |parameters: &str| {
        let key = TestKey::new();
        let cloud = format!("CloudVMs: {{ImageID: ami-1, Driver: ec2, DriverParameters: {{{parameters}}}}}");
        let containers = format!("    Containers: {{DispatchPrivateKey: {}, {cloud}}}\n", key.yaml());
        minimal(&key, &containers)
    };
    let strict = |text: &str| with_stdin(&["--config", "-", "config", "check", "--strict"], text);
    let wrong = site("SubnetIds: subnet-1");
    let output = with_stdin(&["--config", "-", "config", "check"], &wrong);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("did you mean SubnetID?"), "{}", stderr(&output));
    assert_one_line(
        &strict(&wrong),
        2,
        &[
            "DriverParameters.SubnetIds",
            "not a parameter of this driver",
            "SecurityGroupIDs, SubnetID, AdminUsername",
        ],
    );
    let others = strict(&site("Region: us-east-1, ResourceGroup: lab"));
    assert_eq!(others.status.code(), Some(0), "{}", stderr(&others));
}

#[test]
fn a_missing_file_and_a_missing_cluster_are_told_in_one_line() {
    assert_one_line(
        &run(&["--config", "/nonexistent/x.yml", "config", "check"]),
        2,
        &["/nonexistent/x.yml", "No such file"],
    );
    let text = minimal(&TestKey::new(), "");
    let output = with_stdin(&["--config=-", "--cluster-id", "aaaaa", "config", "check"], &text);
    assert_one_line(&output, 2, &["no cluster aaaaa", "zzzzz"]);
    let output = binary(&["config", "check"]).env("ARVADOS_CONFIG", "/nonexistent/y.yml").output().unwrap();
    assert_one_line(&output, 2, &["/nonexistent/y.yml"]);
}

#[test]
fn variables_that_are_set_but_empty_are_as_if_not_set() {
    let variables = [("ARVADOS_CONFIG", ""), ("ARVADOS_CLUSTER_ID", "")];
    let output = binary(&["config", "check"]).envs(variables).output().unwrap();
    // A host of the site has the file, a build machine has not.
    if !std::path::Path::new("/etc/arvados/config.yml").exists() {
        assert_one_line(&output, 2, &["/etc/arvados/config.yml", "No such file"]);
    }
    let file = file(&minimal(&TestKey::new(), ""));
    let output =
        binary(&["--config"]).arg(file.path()).args(["config", "check"]).envs(variables).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_dump_shows_no_secret_and_is_the_same_in_yaml_and_json() {
    let key = TestKey::new();
    let text = config_support::site_text(&key);
    let text = text.replacen("ExternalURL: http://", "ExternalURL: http://user:urlpassword@", 1);
    let text =
        text.replacen("http://127.0.0.1:9006", "http://urltoken@127.0.0.1:9006/?api_token=querytoken", 1);
    let text = text.replacen("CloudVMs:\n", "CloudVMs:\n        InstanceInitCommand: echo initsecret\n", 1);
    for secret in ["urlpassword", "urltoken", "querytoken", "initsecret"] {
        assert!(text.contains(secret), "{secret}");
    }
    let yaml = with_stdin(&["--config", "-", "config", "dump"], &text);
    let json = with_stdin(&["--config", "-", "config", "dump", "--json"], &text);
    let dump: Value = serde_json::from_str(stdout(&json)).unwrap();
    assert_eq!(dump["Clusters"]["zzzzz"]["SystemRootToken"], "(secret)");
    assert_eq!(dump["Clusters"]["zzzzz"]["Containers"]["CloudVMs"]["MaxInstances"], 12);
    for shown in [stdout(&yaml), stdout(&json)] {
        for secret in [
            "systemroottoken",
            "managementtoken",
            "testing\"\n      SecretAccessKey: testing",
            "PRIVATE",
            "password: lab",
            "urlpassword",
            "urltoken",
            "querytoken",
            "initsecret",
        ] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
    assert_eq!(config_support::yaml_to_json(stdout(&yaml)), dump);
}

#[test]
fn defaults_are_printed_as_they_are_documented() {
    assert_eq!(stdout(&run(&["config", "defaults"])), include_str!("../config/default.yml"));
}

#[test]
fn help_has_examples_and_version_is_a_line() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("Examples:") && stdout(&help).contains("demo --containers 300"));
    let version = arvados_dispatch_cloud::VERSION;
    assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
    for asked in ["-version", "--version", "-V", "version"] {
        assert_eq!(stdout(&run(&[asked])), format!("arvados-dispatch-cloud {version}\n"), "{asked}");
    }
}

#[test]
fn wrong_usage_is_one_line_and_exit_2() {
    assert_one_line(&run(&["--no-such-option"]), 2, &["--no-such-option", "try --help"]);
    assert_one_line(&run(&["no-such-command"]), 2, &["no-such-command", "try --help"]);
    assert_one_line(&run(&["config"]), 2, &["requires a subcommand", "check, dump, defaults"]);
    assert_one_line(&run(&["demo", "--instances", "0"]), 2, &["--instances", "0"]);
    assert_one_line(&run(&["demo", "--containers", "many"]), 2, &["--containers", "many"]);
}

#[test]
fn options_of_older_versions_are_ignored_with_a_warning() {
    let output = run(&["", "-legacy-ws-config", "/x", "-skip-legacy", "-pprof", ":1", "config", "defaults"]);
    assert_eq!(output.status.code(), Some(0));
    for option in ["-legacy-ws-config", "-skip-legacy", "-pprof"] {
        assert!(stderr(&output).contains(&format!("warning: {option} ")), "{}", stderr(&output));
    }
}
