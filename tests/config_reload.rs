//! What a reload of the configuration takes up, and what it tells.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod config_support;

use std::collections::BTreeMap;

use arvados_dispatch_cloud::settings::{Change, Settings, TABLES};
use config_support::{TestKey, load_text};
use serde_json::Value;

/// A site in which every key that is taken up at once, and some of the others, have these values.
fn site(key: &TestKey, values: &Values) -> Settings {
    let Values { n, token, secret, image, volume, types } = *values;
    let key = key.yaml();
    let text = format!(
        "Clusters:
  zzzzz:
    ManagementToken: {token}
    SystemRootToken: s
    Services:
      Controller: {{ExternalURL: https://zzzzz.example.com}}
    SystemLogs: {{LogLevel: {level}}}
    API: {{RequestTimeout: {n}00s}}
    Volumes:
      zzzzz-nyw5e-000000000000000:
        Driver: S3
        DriverParameters: {{Bucket: b, SecretAccessKey: {volume}}}
    InstanceTypes:
{types}
    Containers:
      DispatchPrivateKey: {key}
      StaleLockTimeout: {n}m
      ReserveExtraRAM: {n}MiB
      MaximumPriceFactor: {n}
      PreemptiblePriceFactor: 0.{n}
      MaxDispatchAttempts: {n}
      CrunchRunCommand: run{n}
      CloudVMs:
        ImageID: {image}
        Driver: ec2
        DriverParameters: {{Region: us-east-1, AccessKeyID: a, SecretAccessKey: {secret}}}
        PollInterval: {n}s
        SyncInterval: {n}m
        ProbeInterval: {n}s
        MaxProbesPerSecond: {n}
        TimeoutSignal: {n}s
        TimeoutStaleRunLock: {n}s
        TimeoutTERM: {n}m
        TimeoutIdle: {n}m
        TimeoutBooting: {n}m
        TimeoutProbe: {n}m
        TimeoutShutdown: {n}s
        MaxCloudOpsPerSecond: {n}
        MaxConcurrentInstanceCreateOps: {n}
        MaxInstances: {n}
        MaxInstanceAge: {n}h
        DriftBudget: {n}
        MaxRunningContainersPerInstance: {n}
        SupervisorFraction: 0.{n}
        BackfillPatience: {n}m
        IdleReserve: {{small: {{Instances: {n}}}}}
        PackContainers: {pack}
        SpotRetries: {n}
        InitialQuotaEstimate: {n}
        TagKeyPrefix: Prefix{n}
",
        pack = n % 2 == 0,
        level = if n % 2 == 0 { "debug" } else { "info" },
    );
    load_text(&text).unwrap().settings
}

#[derive(Clone, Copy)]
struct Values {
    n: u32,
    token: &'static str,
    secret: &'static str,
    image: &'static str,
    volume: &'static str,
    types: &'static str,
}

const BEFORE: Values = Values {
    n: 3,
    token: "managers",
    secret: "of-the-cloud",
    image: "ami-1",
    volume: "of-the-volume",
    types: "      small: {ProviderType: t.small, VCPUs: 2, RAM: 4GiB, Price: 0.1}
      old: {ProviderType: t.old, VCPUs: 2, RAM: 4GiB, Price: 0.1}",
};

const AFTER: Values = Values {
    n: 4,
    token: "superiors",
    secret: "of-another-cloud",
    image: "ami-2",
    volume: "of-another-volume",
    types: "      small: {ProviderType: t.small, VCPUs: 2, RAM: 4GiB, Price: 0.2}
      new: {ProviderType: t.new, VCPUs: 8, RAM: 16GiB, Price: 0.8}",
};

/// The value of a key, as `config dump` has it.
fn shown(settings: &Settings, section: &[&str], key: &str) -> Value {
    let dump = &settings.dump()["Clusters"]["zzzzz"];
    let section = section.iter().fold(dump, |section, name| &section[*name]);
    section[key].clone()
}

#[test]
fn what_is_said_to_hold_at_once_is_taken_up_and_nothing_else() {
    let key = TestKey::new();
    let (before, after) = (site(&key, &BEFORE), site(&key, &AFTER));
    let reloaded = before.reloaded(&after);
    let mut taken_up = 0;
    for table in TABLES {
        for row in &table.keys {
            let of = |settings| shown(settings, table.path, row.name);
            let (old, new, now) = (of(&before), of(&after), of(&reloaded));
            let path = [table.path, &[row.name]].concat().join(".");
            if row.at_once {
                assert_ne!(old, new, "{path}: this test does not change it");
                assert_eq!(now, new, "{path} is not taken up");
                taken_up += 1;
            } else {
                assert_eq!(now, old, "{path} is taken up, and needs a restart");
            }
        }
    }
    assert_eq!(taken_up, 29);
    let names: Vec<_> = reloaded.policy.catalog.types().iter().map(|it| it.name.to_string()).collect();
    assert!(names.contains(&"new".to_owned()) && !names.contains(&"old".to_owned()), "{names:?}");
}

fn changes(before: &Values, after: &Values) -> BTreeMap<String, Change> {
    let key = TestKey::new();
    let changes = site(&key, before).changes_to(&site(&key, after));
    changes.into_iter().map(|change| (change.path.clone(), change)).collect()
}

#[test]
fn nothing_is_told_of_a_file_that_says_the_same() {
    assert!(changes(&BEFORE, &BEFORE).is_empty());
}

#[test]
fn each_change_is_told_with_both_values_and_types_one_by_one() {
    let told = changes(&BEFORE, &AFTER);
    let change = |path: &str| told.get(path).unwrap_or_else(|| panic!("{path} is not in {told:?}"));
    let most = change("Containers.CloudVMs.MaxInstances");
    assert_eq!((most.before.as_str(), most.now.as_str(), most.at_once), ("3", "4", true));
    let idle = change("Containers.CloudVMs.TimeoutIdle");
    assert_eq!((idle.before.as_str(), idle.now.as_str()), ("3m", "4m"));
    let image = change("Containers.CloudVMs.ImageID");
    assert_eq!((image.before.as_str(), image.now.as_str(), image.at_once), ("ami-1", "ami-2", false));
    assert!(!change("Containers.CloudVMs.InitialQuotaEstimate").at_once);
    let (old, new) = (change("InstanceTypes.old"), change("InstanceTypes.new"));
    assert!(old.before.contains("t.old") && old.now.is_empty() && old.at_once, "{old:?}");
    assert!(new.before.is_empty() && new.now.contains("t.new") && new.at_once, "{new:?}");
    let small = change("InstanceTypes.small.Price");
    assert_eq!((small.before.as_str(), small.now.as_str()), ("0.1", "0.2"));
}

#[test]
fn a_secret_that_has_changed_is_told_without_its_value_and_so_is_what_only_others_read() {
    let told = changes(&BEFORE, &AFTER);
    for path in ["ManagementToken", "Containers.CloudVMs.DriverParameters.SecretAccessKey"] {
        let change = told.get(path).unwrap_or_else(|| panic!("{path} is not in {told:?}"));
        assert_eq!(
            (change.before.as_str(), change.now.as_str(), change.at_once),
            ("(secret)", "(secret)", false)
        );
    }
    assert!(told.contains_key("Volumes.(what others read)"), "{told:?}");
    assert!(!told.contains_key("SystemRootToken"), "it is the same");
    let text = format!("{told:?}");
    for secret in
        ["managers", "superiors", "of-the-cloud", "of-another-cloud", "of-the-volume", "of-another-volume"]
    {
        assert!(!text.contains(secret), "{secret} is told: {text}");
    }
}

/// Two sites that differ in that line of `CloudVMs`, or of the cluster.
fn one_change(before: &str, after: &str) -> Vec<Change> {
    let key = TestKey::new();
    let settings = |line: &str| load_text(&config_support::minimal(&key, line)).unwrap().settings;
    settings(before).changes_to(&settings(after))
}

/// A journal and an API have other readers than the file.
#[test]
fn what_may_have_a_secret_in_it_is_told_without_its_value() {
    let containers = |text: &str| {
        let key = "Containers: {DispatchPrivateKey: KEY, CrunchRunArgumentsList: ARGUMENTS, CloudVMs: {ImageID: ami-1, BootProbeCommand: PROBE, ResourceTags: {Owner: TAG}}}";
        format!(
            "    {}\n",
            key.replace("ARGUMENTS", &format!("['--secret={text}']"))
                .replace("PROBE", &format!("'curl -H \"Authorization: Bearer {text}\"'"))
                .replace("TAG", text)
        )
    };
    let key = TestKey::new();
    let settings = |text: &str| {
        let more = containers(text).replace("KEY", &key.yaml());
        load_text(&config_support::minimal(&key, &more)).unwrap().settings
    };
    let told = settings("hunter1").changes_to(&settings("hunter2"));
    let paths: Vec<_> = told.iter().map(|change| change.path.as_str()).collect();
    for path in [
        "Containers.CrunchRunArgumentsList",
        "Containers.CloudVMs.BootProbeCommand",
        "Containers.CloudVMs.ResourceTags.Owner",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
    assert!(!format!("{told:?}").contains("hunter"), "{told:?}");
}

/// And then the file does not hold as a whole.
#[test]
fn a_password_in_a_url_is_told_as_changed_and_is_in_no_path() {
    let feed =
        |password: &str| format!("    PostgreSQL: {{Connection: {{host: h, password: {password}}}}}\n");
    let told = one_change(&feed("hunter1"), &feed("hunter2"));
    assert_eq!(
        told.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(),
        ["PostgreSQL.Connection.password"]
    );
    let others =
        |password: &str| format!("    Collections: {{S: {{'http://user:{password}@127.0.0.1:1/': 1}}}}\n");
    let told = one_change(&others("hunter1"), &others("hunter2"));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(!format!("{told:?}").contains("hunter"), "{told:?}");
}

#[test]
fn no_limit_is_called_so() {
    let most = |n: u32| {
        format!(
            "    Containers: {{DispatchPrivateKey: KEY, CloudVMs: {{ImageID: ami-1, MaxInstances: {n}}}}}\n"
        )
    };
    let key = TestKey::new();
    let settings =
        |n| load_text(&config_support::minimal(&key, &most(n).replace("KEY", &key.yaml()))).unwrap().settings;
    let told = settings(64).changes_to(&settings(0));
    assert_eq!((told[0].before.as_str(), told[0].now.as_str()), ("64", "0 (no limit)"));
}
