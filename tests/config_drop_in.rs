//! Configuration files that sites have, and what becomes of each: the behaviour is that of the site's other services,
//! with a warning where it is rarely meant.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod config_support;

use arvados_dispatch_cloud::settings::{Environment, FindingKind, Loaded, SettingsError, parse};
use config_support::{HOST, TestKey, load_text, minimal};
use dispatch_adapters::ssh::{KeyExchange, SshClient};
use serde_json::json;

fn load(more: &str) -> Loaded {
    load_text(&minimal(&TestKey::new(), more)).unwrap()
}

fn containers(more: &str) -> String {
    format!("    Containers:\n      DispatchPrivateKey: {}\n{more}", TestKey::new().yaml())
}

fn cloud(more: &str) -> Loaded {
    load(&containers(&format!("      CloudVMs:\n        ImageID: ami-1\n        Enable: true\n{more}")))
}

#[track_caller]
fn assert_warning(loaded: &Loaded, kind: FindingKind, words: &[&str]) {
    let texts: Vec<_> = loaded.warnings.iter().map(|it| (it.kind, it.to_string())).collect();
    let found = texts.iter().any(|(its, text)| *its == kind && words.iter().all(|word| text.contains(word)));
    assert!(found, "{words:?} is not in {texts:#?}");
}

#[track_caller]
fn assert_problem(result: Result<Loaded, SettingsError>, words: &[&str]) {
    let text = result.expect_err("it is wrong").to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

/// Everything but what each of these small files is told anyway.
fn warnings(loaded: &Loaded) -> Vec<String> {
    let texts = loaded.warnings.iter().map(ToString::to_string);
    texts.filter(|it| !it.contains("no instance types") && !it.contains("CloudVMs.Enable")).collect()
}

#[test]
fn of_keys_that_are_given_twice_the_last_one_counts() {
    let loaded = cloud(
        "        DriverParameters:\n          AdminUsername: debian\n          Region: us-east-1\n          AdminUsername: arvados\n",
    );
    assert_warning(&loaded, FindingKind::Twice, &["DriverParameters.AdminUsername", "lines 14 and 16"]);
    assert_eq!(loaded.settings.driver.parameters.text("AdminUsername"), "arvados");
    let site =
        minimal(&TestKey::new(), "    Workbench: {SiteName: a}\n    Workbench: {SiteName: b, SiteName: c}\n");
    let site = site.replace(
        "    Services:\n",
        "    TLS: {Insecure: true}\n    TLS: {Insecure: false}\n    Services:\n      DispatchCloud:\n        InternalURLs: {\"http://a:1\": {}}\n        InternalURLs: {\"http://b:2\": {}}\n",
    );
    let loaded = load_text(&site).unwrap();
    assert_eq!(loaded.settings.cluster_json()["Workbench"]["SiteName"], "c");
    assert!(!loaded.settings.controller.insecure);
    let hosts: Vec<_> = loaded.settings.listeners.iter().map(|it| it.address().0).collect();
    assert_eq!(hosts, ["b"]);
    for path in
        ["Clusters.zzzzz.TLS: ", "DispatchCloud.InternalURLs: ", "zzzzz.Workbench: ", "Workbench.SiteName: "]
    {
        assert_warning(&loaded, FindingKind::Twice, &[path, "given twice", "the last value counts"]);
    }
}

/// As Go's readers do: the greatest in the order of bytes is read last.
#[test]
fn parameters_of_drivers_are_read_whatever_the_case_of_their_letters() {
    let read = |parameters: &str| cloud(&format!("        DriverParameters: {{{parameters}}}\n"));
    let loaded =
        read("region: us-east-1, SubnetId: [a, b], SECURITYGROUPIDS: {sg-1: }, adminUserName: debian");
    let parameters = &loaded.settings.driver.parameters;
    assert_eq!(
        (parameters.text("Region"), parameters.text("AdminUsername")),
        ("us-east-1".into(), "debian".into())
    );
    assert_eq!((parameters.texts("SubnetID").len(), parameters.texts("SecurityGroupIDs").len()), (2, 1));
    assert_eq!(warnings(&loaded), [""; 0]);
    for order in ["Region: a, region: b, REGION: c", "REGION: c, region: b, Region: a"] {
        let loaded = read(order);
        assert_eq!(loaded.settings.driver.parameters.text("Region"), "b", "{order}");
        assert_warning(
            &loaded,
            FindingKind::Doubtful,
            &["DriverParameters.Region: given twice: region counts"],
        );
        assert_warning(
            &loaded,
            FindingKind::Doubtful,
            &["DriverParameters.REGION: given twice: region counts"],
        );
    }
    let key = TestKey::new();
    let wrong = format!(
        "    Containers: {{DispatchPrivateKey: {}, CloudVMs: {{ImageID: a, DriverParameters: {{region: A B}}}}}}\n",
        key.yaml()
    );
    assert_problem(load_text(&minimal(&key, &wrong)), &["DriverParameters.region", "`A B`", "us-east-1"]);
}

#[test]
fn what_follows_the_first_document_is_not_read() {
    for more in ["---\n", "---\nClusters: {}\n", "---\n%nonsense {\n"] {
        let loaded = load_text(&format!("{}{more}", minimal(&TestKey::new(), ""))).unwrap();
        assert_warning(&loaded, FindingKind::Doubtful, &["config.yml:9:", "a second document"]);
    }
    assert_eq!(
        warnings(&load_text(&format!("---\n{}...\n", minimal(&TestKey::new(), ""))).unwrap()),
        [""; 0]
    );
}

#[test]
fn a_merge_that_readers_understand_differently_is_refused_with_both_lines() {
    let text = |merged: &str| {
        let more = format!(
            "    Extra: {{base: &base {{VCPUs: 2, RAM: 4GiB}}}}\n    InstanceTypes:\n      a:\n{merged}"
        );
        minimal(&TestKey::new(), &more)
    };
    let after = load_text(&text("        RAM: 8GiB\n        <<: *base\n"));
    assert_problem(after, &["config.yml:13:", "line 12", "line 9", "key `RAM`", "move `<<` before"]);
    let before = load_text(&text("        <<: *base\n        RAM: 8GiB\n")).unwrap();
    assert_eq!(before.settings.policy.catalog.get("a").unwrap().ram, 8 << 30);
    assert!(load_text(&text("        Price: 1\n        <<: *base\n")).is_ok(), "nothing is said twice");
}

#[test]
fn old_names_of_a_volumes_keys_are_sent_under_todays() {
    let volume = |parameters: &str| {
        load(&format!("    Volumes: {{v: {{Driver: S3, DriverParameters: {{{parameters}}}}}}}\n"))
    };
    let sent = |loaded: &Loaded| loaded.settings.cluster_json()["Volumes"]["v"]["DriverParameters"].clone();
    let loaded = volume("AccessKey: a, SecretKey: hunter2, Bucket: b, AccessKeyID: ''");
    assert_eq!(sent(&loaded), json!({"AccessKeyID": "a", "SecretAccessKey": "hunter2", "Bucket": "b"}));
    assert_warning(
        &loaded,
        FindingKind::Doubtful,
        &["v.DriverParameters.AccessKey", "sent to the VMs as AccessKeyID"],
    );
    assert_warning(
        &loaded,
        FindingKind::Doubtful,
        &["v.DriverParameters.SecretKey", "write SecretAccessKey"],
    );
    assert!(!format!("{:?}", loaded.warnings).contains("hunter2"));
    let both = volume("AccessKey: a, SecretKey: b, AccessKeyID: c, SecretAccessKey: d");
    assert_eq!(sent(&both)["AccessKeyID"], "c");
    assert_warning(&both, FindingKind::Doubtful, &["v.DriverParameters.AccessKey", "ignored"]);
    let other = load("    Volumes: {v: {Driver: Directory, DriverParameters: {AccessKey: a}}}\n");
    assert_eq!((sent(&other), warnings(&other)), (json!({"AccessKey": "a"}), vec![]));
}

#[test]
fn instance_types_of_old_files_are_read() {
    let cuda = "{DriverVersion: '11.4', HardwareCapability: '8.6', DeviceCount: 2}";
    let loaded = load(&format!("    InstanceTypes: {{g: {{VCPUs: 4, RAM: 16GiB, CUDA: {cuda}}}}}\n"));
    let gpu = &loaded.settings.policy.catalog.get("g").unwrap().gpu;
    assert_eq!((gpu.stack.as_str(), gpu.hardware_target.as_str(), gpu.device_count), ("cuda", "8.6", 2));
    assert_warning(&loaded, FindingKind::Doubtful, &["InstanceTypes.g.CUDA", "write GPU"]);
    let listed = load(
        "    InstanceTypes: [{Name: a, VCPUs: 1, RAM: 1GiB}, {Name: b, VCPUs: 2, RAM: 1GiB, ProviderType: x}]\n",
    );
    assert_eq!(listed.settings.policy.catalog.types().len(), 2);
    assert_eq!(listed.settings.policy.catalog.get("b").unwrap().provider_type.as_str(), "x");
    assert_warning(&listed, FindingKind::Doubtful, &["InstanceTypes", "a list, as in old releases"]);
    let nameless = minimal(&TestKey::new(), "    InstanceTypes: [{VCPUs: 1}]\n");
    assert_problem(load_text(&nameless), &["InstanceTypes[0]", "without Name"]);
}

#[test]
fn old_names_that_nobody_reads_any_more_are_told_with_todays() {
    let scratch =
        load("    InstanceTypes: {a: {VCPUs: 1, RAM: 1GiB, Scratch: 10GB, IncludedScratch: 2GB}}\n");
    assert_eq!(scratch.settings.policy.catalog.get("a").unwrap().scratch(), 2_000_000_000);
    assert_warning(
        &scratch,
        FindingKind::Doubtful,
        &["InstanceTypes.a.Scratch", "ignored", "IncludedScratch", "AddedScratch"],
    );
    let dispatch = "{PollInterval: 1s, ProbeInterval: 1s, MaxProbesPerSecond: 1, StaleLockTimeout: 1s}";
    let loaded = load(&format!("    Dispatch: {dispatch}\n"));
    for (old, new) in [
        ("PollInterval", "Containers.CloudVMs.PollInterval"),
        ("ProbeInterval", "Containers.CloudVMs.ProbeInterval"),
        ("MaxProbesPerSecond", "Containers.CloudVMs.MaxProbesPerSecond"),
        ("StaleLockTimeout", "Containers.StaleLockTimeout"),
    ] {
        let words = [&format!("Dispatch.{old}: "), "not read any more", &format!("write {new}")];
        assert_warning(&loaded, FindingKind::Doubtful, &words);
    }
    assert_eq!(loaded.settings.policy.poll_interval.as_secs(), 10, "the default");
}

/// The site's other services rewrite these for themselves, and nothing on a VM reads them.
#[test]
fn old_names_of_what_is_no_concern_of_ours_are_passed_on_as_they_are() {
    let loaded = load(
        "    RequestLimits: {MaxItemsPerResponse: 7, MultiClusterRequestConcurrency: 2}\n    \
         Login: {GoogleClientID: a, GoogleClientSecret: hunter2, GoogleAlternateEmailAddresses: false}\n    \
         Volumes: {v: {Driver: S3, DriverParameters: {Bucket: b, UseAWSS3v2Driver: true}}}\n",
    );
    assert_eq!(warnings(&loaded), [""; 0]);
    let cluster = loaded.settings.cluster_json();
    assert_eq!(cluster["RequestLimits"]["MaxItemsPerResponse"], 7);
    assert_eq!(cluster["Login"]["GoogleClientSecret"], "hunter2");
    assert_eq!(cluster["Volumes"]["v"]["DriverParameters"]["UseAWSS3v2Driver"], true);
}

#[test]
fn sections_that_have_moved_are_named_with_their_new_place() {
    let key = TestKey::new();
    for (lines, old, new) in [
        (
            "    Dispatch: {PrivateKey: x}\n    Containers: {}\n",
            "zzzzz.Dispatch.PrivateKey: an old name",
            "Containers.DispatchPrivateKey",
        ),
        (
            "    CloudVMs: {ImageID: a}\n    Containers: {}\n",
            "zzzzz.CloudVMs: an old name",
            "Containers.CloudVMs",
        ),
    ] {
        assert_problem(load_text(&minimal(&key, lines)), &[old, "not read any more: move it to", new]);
    }
    let profiles = format!(
        "Clusters:\n  zzzzz:\n    SystemRootToken: s\n    NodeProfiles: {{'*': {{}}}}\n{}",
        containers("")
    );
    assert_problem(load_text(&profiles), &["NodeProfiles: an old name", "Services"]);
    let beside = format!("CloudVMs: {{ImageID: a}}\n{}", minimal(&key, "    Containers: {}\n"));
    assert_problem(load_text(&beside), &["config.yml:1:11: CloudVMs: an old name", "Containers.CloudVMs"]);
    let both = load("    NodeProfiles: {}\n    CloudVMs: {}\n");
    assert_warning(&both, FindingKind::Doubtful, &["CloudVMs", "ignored: Containers.CloudVMs is there, too"]);
    assert_warning(&both, FindingKind::Doubtful, &["NodeProfiles", "ignored: Services is there, too"]);
}

#[test]
fn a_private_key_is_read_however_it_is_laid_out() {
    let key = TestKey::new();
    let indented: String = key.pem().lines().map(|line| format!("    {line}  \r\n")).collect();
    for text in [
        key.pem().replace('\n', "\r\n"),
        key.pem().replace('\n', " \n"),
        indented,
        format!("\n\n{}\n\n", key.pem()),
    ] {
        let yaml = serde_json::to_string(&text).unwrap();
        let site = minimal(
            &key,
            &format!("    Containers: {{DispatchPrivateKey: {yaml}, CloudVMs: {{ImageID: a}}}}\n"),
        );
        let settings = load_text(&site).unwrap().settings;
        assert_eq!(
            settings.containers.private_key.pem.expose(),
            format!("{}\n", key.pem().trim()),
            "{text:?}"
        );
    }
}

#[test]
fn a_key_that_cannot_be_used_is_called_what_it_is() {
    use russh::keys::{Algorithm, PrivateKey};
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let pem = key.to_openssh(Default::default()).unwrap().to_string();
    let encrypted = key.encrypt(&mut rand::rng(), "hunter2").unwrap().to_openssh(Default::default()).unwrap();
    let public = key.public_key().to_openssh().unwrap();
    let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let pkcs1 =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    for (text, words) in [
        (encrypted.to_string(), "has a passphrase"),
        (pkcs8.to_owned(), "has a passphrase"),
        (pkcs1.to_owned(), "has a passphrase"),
        (public, "public key where the private one is wanted"),
        ("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n".to_owned(), "public key where"),
        (pem.replace('\n', " "), "have been joined"),
        (format!("{} \n{}", &pem[..40], pem[40..].replace('\n', " ")), "have been joined"),
        (pem[..100].to_owned(), "no usable private key"),
    ] {
        let yaml = serde_json::to_string(&text).unwrap();
        let site = minimal(
            &TestKey::new(),
            &format!("    Containers: {{DispatchPrivateKey: {yaml}, CloudVMs: {{ImageID: a}}}}\n"),
        );
        assert_problem(load_text(&site), &["Containers.DispatchPrivateKey", words]);
        let shown = load_text(&site).unwrap_err().to_string();
        assert!(!shown.contains(&pem[60..80]), "{shown}");
    }
}

#[test]
fn a_listener_without_a_host_is_all_addresses() {
    let with = |key: &str, environment: Environment| {
        let text = minimal(&TestKey::new(), "").replace(
            "      Controller:",
            &format!("      DispatchCloud: {{InternalURLs: {{{key}}}}}\n      Controller:"),
        );
        let loaded = parse("config.yml", text.as_bytes(), None, &environment, &HOST).unwrap();
        (loaded.settings.listeners[0].address(), warnings(&loaded))
    };
    let everywhere = (("::".to_owned(), 9006), vec![]);
    assert_eq!(with("\"http://:9006\": {}", Environment::default()), everywhere);
    assert_eq!(with("\"http://:9006/\": {}", Environment::default()), everywhere);
    assert_eq!(with("\"http://[::]:9006\": {}", Environment::default()), everywhere);
    assert_eq!(with("\"http://a:1\": {ListenURL: \"http://:9006\"}", Environment::default()), everywhere);
    let chosen =
        Environment { service_internal_url: Some("http://:9006".to_owned()), ..Environment::default() };
    assert_eq!(with("\"http://:9006\": {}", chosen), everywhere);
}

#[test]
fn what_the_environment_has_and_the_file_lacks_is_named() {
    let text = format!(
        "Clusters:\n  zzzzz:\n    ManagementToken: m\n{}",
        containers("      CloudVMs: {ImageID: a}\n")
    );
    let environment = Environment {
        api_host: Some("zzzzz.example.com".to_owned()),
        api_token: Some(dispatch_core::secret::Secret::new("hunter2")),
        ..Environment::default()
    };
    let error = parse("config.yml", text.as_bytes(), None, &environment, &HOST).unwrap_err().to_string();
    for words in
        ["ARVADOS_API_HOST is not used", "https://zzzzz.example.com/", "ARVADOS_API_TOKEN is not used"]
    {
        assert!(error.contains(words), "{words} is not in: {error}");
    }
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn ports_and_limits_are_read_as_sites_write_them() {
    for (port, expected) in [("ssh", 22), ("\"\"", 22), ("2222", 2222), ("\"2222\"", 2222)] {
        let loaded = cloud(&format!("        SSHPort: {port}\n"));
        assert_eq!((loaded.settings.cloud.ssh_port, warnings(&loaded)), (expected, vec![]), "{port}");
    }
    for (kex, expected) in [("fast", KeyExchange::Fast), ("\"\"", KeyExchange::PostQuantum)] {
        let loaded = cloud(&format!("        SSHKex: {kex}\n"));
        assert_eq!((loaded.settings.cloud.key_exchange, warnings(&loaded)), (expected, vec![]), "{kex}");
    }
    for (client, expected) in
        [("russh", SshClient::Russh), ("openssh", SshClient::OpenSsh), ("\"\"", SshClient::OpenSsh)]
    {
        let loaded = cloud(&format!("        SSHClient: {client}\n"));
        assert_eq!((loaded.settings.cloud.ssh_client, warnings(&loaded)), (expected, vec![]), "{client}");
    }
    let loaded = cloud(
        "        MaxCloudOpsPerSecond: -1\n        MaxConcurrentInstanceCreateOps: -1\n        MaxInstances: -1\n        MaxRunningContainersPerInstance: -1\n        InitialQuotaEstimate: -1\n        SupervisorFraction: -1\n",
    );
    let policy = &loaded.settings.policy;
    let limits = [
        policy.max_cloud_ops_per_second,
        policy.max_concurrent_creates,
        policy.max_instances,
        policy.max_containers_per_instance,
        policy.initial_quota_estimate,
    ];
    assert_eq!((limits, policy.supervisor_fraction, warnings(&loaded)), ([0; 5], 0.0, vec![]));
}

#[test]
fn numbers_and_truth_values_mean_what_the_sites_services_take_them_for() {
    let loaded = load(&containers(
        "      MaximumPriceFactor: 2e0\n      ReserveExtraRAM: 0x10\n      CloudVMs:\n        ImageID: a\n        Enable: y\n        MaxInstances: 1e2\n        DeployPublicKey: N\n    InstanceTypes: {a: {RAM: 8e9, VCPUs: 2, Price: 1.5e-1}}\n",
    ));
    let settings = &loaded.settings;
    assert_eq!((settings.policy.sizing.maximum_price_factor, settings.policy.max_instances), (2.0, 100));
    assert_eq!(settings.policy.sizing.reserve_extra_ram, 16);
    assert_eq!((settings.cloud.enable, settings.cloud.deploy_public_key), (true, false));
    let a = settings.policy.catalog.get("a").unwrap();
    assert_eq!((a.ram, a.price.per_hour()), (8_000_000_000, 0.15));
    let told: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    for words in [["CloudVMs.Enable", "`y` is true"], ["CloudVMs.DeployPublicKey", "`N` is false"]] {
        assert_warning(&loaded, FindingKind::Doubtful, &words);
    }
}

#[test]
fn values_of_foreign_sections_are_sent_as_the_sites_services_read_them() {
    let loaded = load(
        "    Workbench: {Extra: {mac: 52:54:00:12:34:56, time: 12:30, thousands: '1,000', big: 1e3, octal: 010, modern: 0o17, flag: on, digits: 089, grouped: 1_000}}\n",
    );
    assert_eq!(
        loaded.settings.cluster_json()["Workbench"]["Extra"],
        json!({"mac": "52:54:00:12:34:56", "time": "12:30", "thousands": "1,000", "big": 1000.0, "octal": 8,
            "modern": 15, "flag": true, "digits": 89.0, "grouped": 1000})
    );
    let told = warnings(&loaded);
    assert_eq!(told.len(), 3, "{told:#?}");
    for words in [
        ["Extra.octal", "`010` is 8 here"],
        ["Extra.flag", "`on` is true"],
        ["Extra.grouped", "`1_000` is 1000"],
    ] {
        assert_warning(&loaded, FindingKind::Doubtful, &words);
    }
    let secret = load("    Collections: {Extra: {MyToken: 0777}}\n");
    assert_warning(&secret, FindingKind::Doubtful, &["Extra.MyToken", "(secret)"]);
    assert!(
        !format!("{:?}", secret.warnings).contains("777")
            && !format!("{:?}", secret.warnings).contains("511")
    );
}

#[test]
fn one_odd_entry_is_no_reason_to_refuse_the_service() {
    let types = "    InstanceTypes:\n      a: {VCPUs: 1, RAM: 1G, GPU: {Stack: CUDA, DeviceCount: 1, DriverVersion: '12.0'}}\n      b: {VCPUs: 1, RAM: 1G, GPU: {Stack: cuda, DeviceCount: 1, DriverVersion: '12.0'}}\n      c: {VCPUs: 1, RAM: 1G}\n";
    let loaded = load(types);
    assert_eq!(loaded.settings.policy.catalog.types().len(), 3);
    assert_warning(&loaded, FindingKind::Doubtful, &["a.GPU.Stack", "`CUDA`", "cuda or rocm"]);
    assert_warning(&loaded, FindingKind::Doubtful, &["b.GPU.HardwareTarget", "\"8.6\""]);
    let text = minimal(&TestKey::new(), "")
        .replace("      Controller:", "      Websocket: {ExternalURL: \"-\"}\n      Controller:");
    let loaded = load_text(&text).unwrap();
    assert!(loaded.settings.websocket.feed_urls().is_empty());
    assert_warning(&loaded, FindingKind::Doubtful, &["Websocket.ExternalURL", "polled only"]);
    let urls = "{ExternalURL: \"wss://ws.example.com\", InternalURLs: {\"localhost:8005\": {}, \"http://localhost:8005\": {}}}";
    let loaded = load_text(&text.replace("{ExternalURL: \"-\"}", urls)).unwrap();
    let feed_urls: Vec<_> = loaded.settings.websocket.feed_urls().iter().map(ToString::to_string).collect();
    assert_eq!(feed_urls, ["ws://localhost:8005/websocket", "wss://ws.example.com/websocket"]);
    assert_warning(&loaded, FindingKind::Doubtful, &["InternalURLs.localhost:8005", "not tried"]);
    let dumped = &loaded.settings.dump()["Clusters"]["zzzzz"]["Services"]["Websocket"];
    let shown =
        json!({"ExternalURL": "wss://ws.example.com/", "InternalURLs": {"http://localhost:8005/": {}}});
    assert_eq!(*dumped, shown);
}

#[test]
fn the_tokens_of_our_examples_are_letters_and_digits() {
    for name in ["default.yml", "ec2.example.yml", "azure.example.yml", "gce.example.yml", "loopback.yml"] {
        let text = std::fs::read_to_string(format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let tokens = text.lines().filter_map(|line| {
            let (key, value) = line.trim().trim_start_matches("# ").split_once(": ")?;
            let is_secret = key.ends_with("Token")
                || key == "password"
                || key == "SecretAccessKey"
                || key == "ClientSecret";
            is_secret.then_some(value.trim_matches('"'))
        });
        for token in tokens {
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric()), "{name}: {token}");
        }
    }
}
