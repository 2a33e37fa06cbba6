//! Wrong configurations: what is told has file, line, path, value and what is accepted; secrets are not shown.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod config_support;

use arvados_dispatch_cloud::settings::{
    Environment, FindingKind, Loaded, RunnerBinary, SettingsError, parse,
};
use dispatch_ec2::Params as Ec2;

use config_support::{HOST, TestKey, load_text, minimal};

/// The minimal site has its sections in lines 1 to 7, its key in line 8; `more` begins in line 9.
fn load(more: &str) -> Result<Loaded, SettingsError> {
    load_text(&minimal(&TestKey::new(), more))
}

/// With `Containers` of our own: its key is in line 9, `more` begins in line 10. An image is added at the end.
fn load_containers(more: &str) -> Result<Loaded, SettingsError> {
    load_without_image(&format!("{more}      CloudVMs: {{ImageID: ami-1}}\n"))
}

fn load_without_image(more: &str) -> Result<Loaded, SettingsError> {
    let key = TestKey::new();
    load_text(&minimal(&key, &format!("    Containers:\n      DispatchPrivateKey: {}\n{more}", key.yaml())))
}

fn cloud(more: &str) -> Result<Loaded, SettingsError> {
    cloud_without_image(&format!("{more}        ImageID: ami-1\n"))
}

fn cloud_without_image(more: &str) -> Result<Loaded, SettingsError> {
    load_without_image(&format!("      CloudVMs:\n        Enable: true\n{more}"))
}

#[track_caller]
fn assert_problem(result: Result<Loaded, SettingsError>, words: &[&str]) {
    let text = result.expect_err("it is wrong").to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[track_caller]
fn assert_warning(result: Result<Loaded, SettingsError>, kind: FindingKind, words: &[&str]) {
    let warnings = result.expect("it is usable").warnings;
    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let found = warnings
        .iter()
        .zip(&texts)
        .any(|(warning, text)| warning.kind == kind && words.iter().all(|word| text.contains(word)));
    assert!(found, "{words:?} is not in {texts:#?}");
}

#[test]
fn wrong_values_of_containers_are_told() {
    for (line, words) in [
        ("ReserveExtraRAM: 16EiB", ["ReserveExtraRAM", "`16EiB`", "16 EiB"]),
        ("ReserveExtraRAM: -1", ["ReserveExtraRAM", "`-1`", "size"]),
        ("ReserveExtraRAM: 8,000,000,000", ["ReserveExtraRAM", "`8,000,000,000`", "such as 500000000"]),
        ("ReserveExtraRAM: 12:30", ["ReserveExtraRAM", "`12:30`", "size"]),
        ("ReserveExtraRAM: yes", ["ReserveExtraRAM", "`yes`", "size"]),
        ("ReserveExtraRAM: [1]", ["ReserveExtraRAM", "a list", "single value"]),
        ("StaleLockTimeout: 60", ["StaleLockTimeout", "`60`", "needs a unit"]),
        ("StaleLockTimeout: 00:10:00", ["StaleLockTimeout", "`00:10:00`", "such as 10s, 1h30m"]),
        ("LocalKeepBlobBuffersPerVCPU: -1", ["LocalKeepBlobBuffersPerVCPU", "`-1`", "from 0"]),
        ("LocalKeepBlobBuffersPerVCPU: '1'", ["LocalKeepBlobBuffersPerVCPU", "\"1\"", "without quotes"]),
        ("MaximumPriceFactor: cheap", ["MaximumPriceFactor", "`cheap`", "a number"]),
        ("MaximumPriceFactor: 1,5", ["MaximumPriceFactor", "`1,5`", "without quotes or commas"]),
        ("MaximumPriceFactor: -1", ["MaximumPriceFactor", "`-1`", "from 0 on"]),
        ("CrunchRunArgumentsList: --foo", ["CrunchRunArgumentsList", "`--foo`", "a list of texts"]),
        ("CrunchRunArgumentsList: [{a: b}]", ["CrunchRunArgumentsList", "a map", "a list of texts"]),
        ("CrunchRunCommand: yes", ["CrunchRunCommand", "`yes`", "quote it"]),
    ] {
        let path = format!("Clusters.zzzzz.Containers.{}", words[0]);
        let result = load_containers(&format!("      {line}\n"));
        assert_problem(result, &["config.yml:10:", &path, words[1], words[2]]);
    }
}

#[test]
fn wrong_values_of_cloud_vms_are_told() {
    for (line, words) in [
        ("PollInterval: 10", ["PollInterval", "`10`", "10s"]),
        ("MaxInstances: 1.5", ["MaxInstances", "`1.5`", "whole number"]),
        ("MaxInstances: 1,000", ["MaxInstances", "`1,000`", "without quotes or commas"]),
        ("PackContainers: maybe", ["PackContainers", "`maybe`", "true or false"]),
        ("SpotRetries: 0", ["SpotRetries", "`0`", "from 1 on"]),
        ("SpotRetries: always", ["SpotRetries", "`always`", "never, or after how many losses"]),
        ("DriftBudget: -1", ["DriftBudget", "`-1`", "from 0"]),
        ("MaxInstanceAge: 7d", ["MaxInstanceAge", "`7d`", "such as 10s, 1h30m"]),
        ("SupervisorFraction: 1.5", ["SupervisorFraction", "`1.5`", "from 0 to 1"]),
        ("SupervisorFraction: 50", ["SupervisorFraction", "`50`", "from 0 to 1"]),
        ("MaxInstances: 4294967296", ["MaxInstances", "`4294967296`", "4294967295"]),
        ("DeployPublicKey: 'yes'", ["DeployPublicKey", "\"yes\"", "true or false"]),
        ("DeployPublicKey: yEs", ["DeployPublicKey", "`yEs`", "true or false"]),
        ("SSHPort: 70000", ["SSHPort", "`70000`", "65535"]),
        ("SSHKex: quick", ["SSHKex", "`quick`", "fast, or nothing"]),
        ("SSHClient: libssh", ["SSHClient", "`libssh`", "openssh or russh"]),
        ("SSHPort: telnet", ["SSHPort", "`telnet`", "or ssh for 22"]),
        ("SSHPort: 022", ["SSHPort", "`022`", "quote it"]),
        ("Driver: gke", ["Driver", "`gke`", "ec2 or azure or gce or loopback"]),
        ("Driver: Azure", ["Driver", "`Azure`", "ec2 or azure or gce or loopback"]),
        ("DeployRunnerBinary: crunch-run", ["DeployRunnerBinary", "`crunch-run`", "absolute path"]),
        ("ResourceTags: [a]", ["ResourceTags", "a list", "map"]),
        ("ResourceTags: {Owner: no}", ["ResourceTags.Owner", "`no`", "quote it"]),
        ("DriverParameters: {EBSPrice: free}", ["DriverParameters.EBSPrice", "`free`", "a number"]),
        (
            "DriverParameters: {AccessKeyID: x}",
            ["DriverParameters.SecretAccessKey", "missing", "both or neither"],
        ),
        (
            "DriverParameters: {Region: US-EAST-1}",
            ["DriverParameters.Region", "`US-EAST-1`", "such as us-east-1"],
        ),
        (
            "DriverParameters: {Region: us east}",
            ["DriverParameters.Region", "`us east`", "such as us-east-1"],
        ),
        (
            "DriverParameters: {MetadataHopLimit: 65}",
            ["DriverParameters.MetadataHopLimit", "`65`", "from 1 to 64, or 0"],
        ),
        (
            "DriverParameters: {SubnetID: subnet-1, IPv6OnlySubnetIDs: [subnet-2]}",
            ["DriverParameters.IPv6OnlySubnetIDs", "`subnet-2`", "not in SubnetID"],
        ),
        (
            "DriverParameters: {SpotPriceUpdateInterval: 5}",
            ["DriverParameters.SpotPriceUpdateInterval", "`5`", "unit"],
        ),
    ] {
        let path = format!("Clusters.zzzzz.Containers.CloudVMs.{}", words[0]);
        assert_problem(cloud(&format!("        {line}\n")), &["config.yml:12:", &path, words[1], words[2]]);
    }
}

#[test]
fn driver_ec2_needs_an_image() {
    let words = ["CloudVMs.ImageID", "missing", "ami-0123456789abcdef0"];
    assert_problem(
        cloud_without_image("        ImageID: ''\n"),
        &[&["config.yml:12:18"][..], &words].concat(),
    );
    assert_problem(cloud_without_image(""), &[&["config.yml:11:"][..], &words].concat());
    assert_problem(
        cloud_without_image("        ImageID: [ami-1]\n"),
        &["config.yml:12:18", "a list", "single value"],
    );
    assert!(cloud_without_image("        Driver: loopback\n").is_ok());
}

/// A site on Azure, usable but for that line of `CloudVMs` or those parameters in place of its own.
fn azure(line: &str, parameters: &str) -> Result<Loaded, SettingsError> {
    let usable =
        [("SubscriptionID", "1111-2222"), ("ResourceGroup", "group"), ("Network", "net"), ("Subnet", "sub")];
    let others = usable.iter().filter(|(name, _)| !parameters.starts_with(&format!("{name}:")));
    let others: String = others.map(|(name, text)| format!("          {name}: {text}\n")).collect();
    let image = if line.starts_with("ImageID") { "" } else { "        ImageID: image\n" };
    cloud_without_image(&format!(
        "        {line}\n        Driver: azure\n{image}        DriverParameters:\n          {parameters}\n{others}"
    ))
}

#[test]
fn wrong_values_of_an_azure_site_are_told_with_what_is_accepted() {
    assert!(azure("Enable: true", "Location: eastus").is_ok());
    for (line, words) in [
        ("DeployPublicKey: false", ["DeployPublicKey", "`false`", "neither a key nor a password"]),
        ("ImageID: ''", ["ImageID", "missing", "managed image"]),
        ("ImageID: https://a.blob.core.windows.net/b/c.vhd", ["ImageID", "c.vhd`", "az image create"]),
        ("ImageID: /subscriptions/1/images/x", ["ImageID", "/images/x`", "the name (not the id)"]),
    ] {
        let path = format!("Clusters.zzzzz.Containers.CloudVMs.{}", words[0]);
        assert_problem(azure(line, "Location: eastus"), &["config.yml:12:", &path, words[1], words[2]]);
    }
    for (line, words) in [
        ("SubscriptionID: ''", ["SubscriptionID", "missing", "id of a subscription"]),
        ("SubscriptionID: a b", ["SubscriptionID", "`a b`", "id of a subscription"]),
        ("ResourceGroup: ''", ["ResourceGroup", "missing", "the name (not the id)"]),
        ("ResourceGroup: /subscriptions/1", ["ResourceGroup", "`/subscriptions/1`", "the name (not the id)"]),
        ("ImageResourceGroup: a/b", ["ImageResourceGroup", "`a/b`", "resource group"]),
        ("NetworkResourceGroup: a/b", ["NetworkResourceGroup", "`a/b`", "resource group"]),
        ("Location: central-us", ["Location", "`central-us`", "such as centralus"]),
        ("Network: ''", ["Network", "missing", "virtual network"]),
        ("Subnet: net/sub", ["Subnet", "`net/sub`", "a subnet of Network"]),
        ("CloudEnvironment: AzureCuba", ["CloudEnvironment", "`AzureCuba`", "AzureUSGovernment"]),
        ("CloudEnvironment: AzureGermanCloud", ["CloudEnvironment", "`AzureGermanCloud`", "closed"]),
        ("TenantID: contoso.example", ["ClientSecret", "missing", "managed identity"]),
        ("SharedImageGalleryName: g", ["SharedImageGalleryImageVersion", "missing", "both or neither"]),
        ("AdminUsername: ''", ["AdminUsername", "missing", "a user"]),
        ("DeleteDanglingResourcesAfter: 20", ["DeleteDanglingResourcesAfter", "`20`", "unit"]),
        ("AddedScratchStorageType: fast disk", ["AddedScratchStorageType", "`fast disk`", "Premium_LRS"]),
        ("InstanceTypeQuotaGroups: D", ["InstanceTypeQuotaGroups", "a single value", "a map is wanted"]),
    ] {
        let path = format!("CloudVMs.DriverParameters.{}", words[0]);
        assert_problem(azure("Enable: true", line), &["config.yml:1", &path, words[1], words[2]]);
    }
    let secret = azure("Enable: true", "ClientSecret: hunter2hunter2").unwrap_err().to_string();
    assert!(secret.contains("ClientID: missing") && secret.contains("TenantID: missing"), "{secret}");
    assert!(!secret.contains("hunter2"), "{secret}");
}

#[test]
fn an_image_that_comes_with_the_call_stands_for_the_configured_one() {
    for line in ["", "        ImageID: ami-1\n"] {
        let text = format!(
            "    Containers:\n      DispatchPrivateKey: {}\n      CloudVMs:\n{line}        Driver: ec2\n",
            TestKey::new().yaml()
        );
        let environment = Environment { image_id: Some("ami-2".to_owned()), ..Environment::default() };
        let loaded =
            parse("config.yml", minimal(&TestKey::new(), &text).as_bytes(), None, &environment, &HOST);
        assert_eq!(loaded.unwrap().settings.cloud.image_id, "ami-2");
    }
}

/// `CloudVMs` with driver gce and these parameters beside a zone, and more keys of its own.
fn gce(more: &str, parameters: &str) -> Result<Loaded, SettingsError> {
    let parameters = match parameters.contains("Zones") {
        true => parameters.to_owned(),
        false => format!("Zones: us-central1-a, {parameters}"),
    };
    let image = if more.contains("ImageID") { "" } else { "        ImageID: family/worker\n" };
    load_without_image(&format!(
        "      CloudVMs:\n        Driver: gce\n        DriverParameters: {{{parameters}}}\n{image}{more}"
    ))
}

#[test]
fn wrong_parameters_of_gce_are_told() {
    for (parameters, words) in [
        ("Zones: []", ["Zones", "missing", "a zone such as us-central1-a"]),
        ("Zones: us-central1", ["Zones", "`us-central1`", "a zone such as us-central1-a"]),
        ("Zones: [us-central1-a, us-east1-b]", ["Zones", "`us-east1-b`", "not in the region"]),
        ("ProjectID: My Lab", ["ProjectID", "`My Lab`", "such as lab-123456"]),
        ("CredentialsFile: key.json", ["CredentialsFile", "(secret)", "an absolute path"]),
        ("Subnetwork: regions/x", ["Subnetwork", "`regions/x`", "projects/PROJECT/regions/REGION"]),
        ("NetworkTags: [Jobs]", ["NetworkTags", "a list", "lower-case"]),
        ("ServiceAccount: worker", ["ServiceAccount", "`worker`", "the e-mail of a service account"]),
        ("AdminUsername: 'a:b'", ["AdminUsername", "\"a:b\"", "a user of Linux"]),
        ("BootDiskType: PD SSD", ["BootDiskType", "`PD SSD`", "such as pd-balanced"]),
        ("BootDiskSize: 10GiB", ["BootDiskSize", "`10GiB`", "a whole number"]),
        ("ScratchDiskType: a/b", ["ScratchDiskType", "`a/b`", "such as pd-balanced"]),
        ("ScratchDiskPrice: free", ["ScratchDiskPrice", "`free`", "a number"]),
        ("InitBy: cloud-init", ["InitBy", "`cloud-init`", "startup-script or user-data"]),
        ("VerifyHostKeys: 'yes'", ["VerifyHostKeys", "\"yes\"", "true or false"]),
    ] {
        let path = format!("Clusters.zzzzz.Containers.CloudVMs.DriverParameters.{}", words[0]);
        assert_problem(gce("", parameters), &["config.yml:12:", &path, words[1], words[2]]);
    }
}

#[test]
fn driver_gce_needs_an_image_that_can_be_named_and_tells_which_tags_are_no_labels() {
    assert_problem(gce("        ImageID: ''\n", ""), &["CloudVMs.ImageID", "missing", "family/NAME"]);
    assert_problem(gce("        ImageID: ami 1\n", ""), &["CloudVMs.ImageID", "`ami 1`", "family/NAME"]);
    let fitting = gce("        ResourceTags: {owner: lab-1}\n", "").unwrap().warnings;
    assert!(fitting.iter().all(|it| !it.path.contains("ResourceTags")), "{fitting:?}");
    let told = ["CloudVMs.ResourceTags", "`Owner: J. M.`", "`owner: j__m_`"];
    assert_warning(gce("        ResourceTags: {Owner: J. M.}\n", ""), FindingKind::Doubtful, &told);
}

#[test]
fn each_driver_has_its_own_variable_for_its_endpoint() {
    let load = |driver: &str, environment: Environment| {
        let more = format!(
            "    Containers: {{DispatchPrivateKey: {}, CloudVMs: {{ImageID: a, Driver: {driver}, DriverParameters: \
             {{Zones: us-central1-a}}}}}}\n",
            TestKey::new().yaml()
        );
        parse("config.yml", minimal(&TestKey::new(), &more).as_bytes(), None, &environment, &HOST)
    };
    let of_ec2 = || Environment { ec2_endpoint: Some("ftp://a/".to_owned()), ..Environment::default() };
    let of_gce = || Environment { gce_endpoint: Some("ftp://a/".to_owned()), ..Environment::default() };
    assert!(load("gce", of_ec2()).is_ok() && load("ec2", of_gce()).is_ok());
    let words = ["CloudVMs.Driver", "`ftp://a/`", "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"];
    assert_problem(load("gce", of_gce()), &words);
}

#[test]
fn a_proxy_that_is_not_used_is_told_with_driver_ec2_and_https() {
    let load = |driver: &str, endpoint: Option<&str>| {
        let more = format!(
            "    Containers: {{DispatchPrivateKey: {}, CloudVMs: {{ImageID: a, Driver: {driver}}}}}\n",
            TestKey::new().yaml()
        );
        let environment = Environment {
            https_proxy: Some("https_proxy"),
            ec2_endpoint: endpoint.map(str::to_owned),
            ..Environment::default()
        };
        parse("config.yml", minimal(&TestKey::new(), &more).as_bytes(), None, &environment, &HOST)
    };
    let words = ["CloudVMs.Driver", "https_proxy of the environment is not used"];
    assert_warning(load("ec2", None), FindingKind::Doubtful, &words);
    assert_warning(load("ec2", Some("https://ec2.example.com")), FindingKind::Doubtful, &words);
    for silent in [load("ec2", Some("http://127.0.0.1:5000")), load("loopback", None)] {
        let warnings = silent.unwrap().warnings;
        assert!(warnings.iter().all(|it| !it.message.contains("proxy")), "{warnings:?}");
    }
}

#[test]
fn an_endpoint_of_the_environment_that_cannot_be_called_is_told_with_driver_ec2_without_its_password() {
    let load = |driver: &str, endpoint: &str| {
        let more = format!(
            "    Containers:\n      DispatchPrivateKey: {}\n      CloudVMs: {{ImageID: a, Driver: {driver}}}\n",
            TestKey::new().yaml()
        );
        let environment = Environment { ec2_endpoint: Some(endpoint.to_owned()), ..Environment::default() };
        parse("config.yml", minimal(&TestKey::new(), &more).as_bytes(), None, &environment, &HOST)
    };
    for (endpoint, shown) in [
        ("127.0.0.1:5000", "`127.0.0.1:5000`"),
        ("ftp://ec2.example.com", "`ftp://ec2.example.com`"),
        ("http://user:hunter2@ec2.example.com", "`http://(secret)@ec2.example.com`"),
    ] {
        let error = load("ec2", endpoint).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert_problem(
            load("ec2", endpoint),
            &[
                "config.yml:10:",
                "Containers.CloudVMs.Driver",
                shown,
                "AWS_ENDPOINT_URL",
                "https://ec2.example.com/",
            ],
        );
        assert!(load("loopback", endpoint).is_ok(), "{endpoint}");
    }
    assert!(load("ec2", "http://127.0.0.1:5000").is_ok());
}

#[test]
fn security_groups_and_subnets_may_be_keys_without_values() {
    let parameters = "        DriverParameters:\n          SecurityGroupIDs:\n            sg-1:\n            sg-2: null\n          SubnetID:\n            subnet-1:\n";
    let settings = cloud(parameters).unwrap().settings;
    let ec2 = Ec2::new(&settings.driver.parameters);
    assert_eq!(ec2.security_group_ids, ["sg-1", "sg-2"]);
    assert_eq!(ec2.subnet_ids, ["subnet-1"]);
}

#[test]
fn wrong_values_of_other_sections_are_told() {
    for (lines, words) in [
        ("    SystemLogs: {LogLevel: loud}\n", ["SystemLogs.LogLevel", "`loud`", "debug or trace"]),
        ("    SystemLogs: {Format: xml}\n", ["SystemLogs.Format", "`xml`", "json, text or plain"]),
        ("    API: {RequestTimeout: soon}\n", ["API.RequestTimeout", "`soon`", "a duration"]),
        ("    API: 5\n", ["API", "a single value", "a map"]),
        ("    TLS: {Insecure: 1}\n", ["TLS.Insecure", "`1`", "true or false"]),
        ("    InstanceTypes: {a: {RAM: much}}\n", ["InstanceTypes.a.RAM", "`much`", "a size"]),
        ("    InstanceTypes: {a: {Price: -1}}\n", ["InstanceTypes.a.Price", "`-1`", "from 0 on"]),
        ("    InstanceTypes: {a: {Price: '1'}}\n", ["InstanceTypes.a.Price", "\"1\"", "without quotes"]),
        ("    InstanceTypes: {a: big}\n", ["InstanceTypes.a", "a single value", "a map"]),
        (
            "    InstanceTypes: {a: {GPU: {DeviceCount: 1, DriverVersion: new}}}\n",
            ["InstanceTypes.a.GPU.DriverVersion", "`new`", "\"12.0\""],
        ),
        (
            "    PostgreSQL: {Connection: {sslmode: on}}\n",
            ["PostgreSQL.Connection.sslmode", "`on`", "quote it"],
        ),
        (
            "    PostgreSQL: {Connection: {host: db, SSLMode: strict}}\n",
            ["PostgreSQL.Connection.SSLMode", "`strict`", "verify-full"],
        ),
        (
            "    PostgreSQL: {Connection: {host: db, port: 65536}}\n",
            ["PostgreSQL.Connection.port", "`65536`", "1 to 65535"],
        ),
        (
            "    PostgreSQL: {Connection: {host: db, require_auth: 'scram,!md5'}}\n",
            ["PostgreSQL.Connection.require_auth", "\"scram,!md5\"", "scram-sha-256"],
        ),
        (
            "    PostgreSQL: {Connection: {host: db, requirepeer: postgres}}\n",
            ["PostgreSQL.Connection.requirepeer", "not built in", "unsafe"],
        ),
    ] {
        let path = format!("Clusters.zzzzz.{}", words[0]);
        assert_problem(load(lines), &["config.yml:9:", &path, words[1], words[2]]);
    }
}

#[test]
fn values_that_readers_disagree_about_are_refused_in_sections_that_are_not_ours_too() {
    assert_problem(
        load("    Collections: {DefaultReplication: .inf}\n"),
        &["config.yml:9:39", "Collections.DefaultReplication", "`.inf`"],
    );
    assert_problem(
        load("    Users: {AdminNotifierEmailFrom: yes}\n"),
        &["Users.AdminNotifierEmailFrom", "`yes`", "quote it"],
    );
    assert_problem(load("    Workbench: {on: 1}\n"), &["config.yml:9:17", "the key `on`"]);
    let error = load("    Collections: {BlobSigningKey: 123e45}\n").unwrap_err().to_string();
    assert!(error.contains("(secret)") && !error.contains("123e45"), "{error}");
}

#[test]
fn no_secret_is_in_an_error() {
    for lines in [
        "    Rails: {SecretKeyBase: [.inf, .nan]}\n    Users: {EmailPassphrase: .inf}\n    Extra: {smtp_password: .nan}\n    Mail: {SendUserSetupNotificationEmail: .inf}\n",
        "    Services: {Controller: {ExternalURL: 'ftp://user:hunter2@h/'}}\n",
        "    Services: {DispatchCloud: {InternalURLs: {'ftp://user:hunter2@h/': {}}}}\n",
        "    Services: {DispatchCloud: {InternalURLs: {'http://hunter2@h/?api_token=hunter2': 5}}}\n",
        "    Services: {DispatchCloud: {InternalURLs: {'http://h/': {ListenURL: 'ftp://hunter2@h'}}}}\n",
        "    PostgreSQL: {Connection: {password: !hunter2}}\n",
        "    PostgreSQL: {Connection: {host: a, password: [hunter2]}}\n",
    ] {
        let error = load(lines).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
    let environment =
        Environment { service_internal_url: Some("http://hunter2@x:1".to_owned()), ..Environment::default() };
    let text = minimal(&TestKey::new(), "");
    let loaded = parse("config.yml", text.as_bytes(), None, &environment, &HOST).unwrap();
    assert!(!format!("{:?}", loaded.warnings).contains("hunter2"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "Clusters:\n  zzzzz:\n    API: {RequestTimeout: 10}\n    Containers:\n      CloudVMs: {MaxInstances: many}\n";
    let error = load_text(text).unwrap_err();
    let paths: Vec<_> =
        error.problems.iter().map(|it| it.path.trim_start_matches("Clusters.zzzzz.")).collect();
    let expected = [
        "SystemRootToken",
        "API.RequestTimeout",
        "Containers.DispatchPrivateKey",
        "Containers.CloudVMs.ImageID",
        "Containers.CloudVMs.MaxInstances",
        "Services.Controller.ExternalURL",
    ];
    assert_eq!(paths, expected, "{error}");
}

#[test]
fn files_that_are_no_configuration_are_told() {
    for (text, words) in [
        ("", &["config.yml", "Clusters: missing"][..]),
        ("Clusters: []\n", &["config.yml:1:11", "a list where a map"]),
        ("Clusters: {}\n", &["config.yml:1:11", "a cluster is wanted"]),
        ("Clusters: {zz: {}}\n", &["config.yml:1:12", "`zz` is not a cluster id"]),
        (
            "Clusters: {aaaaa: {}, bbbbb: {}}\n",
            &["config.yml:1:11", "choose one of aaaaa, bbbbb with --cluster-id"],
        ),
        ("Clusters: {zzzzz: 5}\n", &["config.yml:1:19", "where a map is wanted", "zzzzz"]),
        ("Clusters:\n  zzzzz:\n", &["config.yml:2:", "zzzzz has nothing below it", "SystemRootToken"]),
        ("Clusters:\n  zzzzz: ~\n", &["config.yml:2:", "zzzzz has nothing below it", "indented"]),
        ("Clusters:\n  zzzzz:\n    password: ,abc\n", &["config.yml:3:", "not YAML", "quote a text"]),
        ("Clusters: [\n", &["config.yml:", "not YAML"]),
    ] {
        assert_problem(load_text(text), words);
    }
    let not_text = parse("config.yml", b"Clusters: \xff\n", None, &Environment::default(), &HOST);
    assert_problem(not_text, &["config.yml: not UTF-8"]);
}

#[test]
fn one_of_several_clusters_can_be_chosen() {
    let one = minimal(&TestKey::new(), "");
    let text = format!("{one}  aaaaa: {{}}\n  SAMPLE: {{}}\n");
    assert_problem(load_text(&text), &["choose one of zzzzz, aaaaa"]);
    let loaded = parse("x", text.as_bytes(), Some("zzzzz"), &Environment::default(), &HOST).unwrap();
    assert_eq!(loaded.settings.policy.cluster_id, "zzzzz");
}

#[test]
fn a_wrong_key_is_told_without_a_word_of_it() {
    let with = |value: &str| {
        load_text(&minimal(
            &TestKey::new(),
            &format!("    Containers: {{DispatchPrivateKey: {value}, CloudVMs: {{ImageID: a}}}}\n"),
        ))
    };
    assert_problem(with("''"), &["config.yml:8:38", "DispatchPrivateKey: missing", "ED25519"]);
    assert_problem(with("hunter2"), &["config.yml:8:38", "no usable private key", "file:///path"]);
    assert!(!with("hunter2").unwrap_err().to_string().contains("hunter2"));
    assert_problem(
        with("file:///nonexistent/key"),
        &["cannot read the key file /nonexistent/key: No such file"],
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, TestKey::new().pem()).unwrap();
    assert!(with(&format!("file://{}", path.display())).is_ok());
}

#[test]
fn https_needs_a_certificate_and_a_key_that_can_be_read() {
    let with = |tls: &str| {
        let text = minimal(&TestKey::new(), &format!("    TLS: {tls}\n"));
        load_text(&text.replace(
            "      Controller:",
            "      DispatchCloud: {InternalURLs: {\"https://localhost\": {}}}\n      Controller:",
        ))
    };
    assert_problem(with("{}"), &["TLS.Certificate", "both needed for https"]);
    assert_problem(
        with("{Certificate: /nonexistent/a, Key: /nonexistent/b}"),
        &["cannot read /nonexistent/a"],
    );
    assert_problem(
        with("{Certificate: \"-----BEGIN nothing\", Key: x}"),
        &["no certificate in TLS.Certificate"],
    );
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = serde_json::json!({"Certificate": certificate, "Key": key}).to_string();
    let settings = with(&tls).unwrap().settings;
    assert!(settings.tls.load().is_ok());
    assert_eq!(settings.listeners[0].address(), ("localhost".to_owned(), 443));
}

#[test]
fn unknown_keys_are_warnings_with_path_and_the_key_that_was_meant() {
    for (lines, path, hint) in [
        (
            "    API: {requestTimeout: 1m}\n",
            "config.yml:9:11: Clusters.zzzzz.API.requestTimeout",
            "RequestTimeout?",
        ),
        ("    InstanceTypes: {a: {VCPU: 1}}\n", "InstanceTypes.a.VCPU", "VCPUs?"),
        ("    InstanceType: {}\n", "Clusters.zzzzz.InstanceType", "InstanceTypes?"),
        ("    TLS: {Quux: 1}\n", "TLS.Quux", "unknown key"),
    ] {
        assert_warning(load(lines), FindingKind::UnknownKey, &[path, hint]);
    }
    let parameters = "        Driver: loopback\n        DriverParameters: {Instance: 2, Region: x}\n";
    assert_warning(
        cloud(parameters),
        FindingKind::UnknownKey,
        &["DriverParameters.Instance", "did you mean Instances?"],
    );
    assert_warning(cloud(parameters), FindingKind::Doubtful, &["DriverParameters.Region", "another driver"]);
    let list = "AccessKeyID, SecretAccessKey, Region, SecurityGroupIDs, SubnetID, AdminUsername, EBSVolumeType, EBSPrice, \
         IAMInstanceProfile, SpotPriceUpdateInterval, InstanceTypeQuotaGroups, MetadataHopLimit, IPv6OnlySubnetIDs";
    let parameters = "        DriverParameters: {SubnetIds: subnet-1, ResourceGroup: lab, Quux: z}\n";
    let unknown = |words: &[&str]| assert_warning(cloud(parameters), FindingKind::UnknownKey, words);
    unknown(&[
        "DriverParameters.SubnetIds",
        "not a parameter of this driver",
        "did you mean SubnetID?",
        list,
    ]);
    unknown(&["DriverParameters.Quux", "not a parameter of this driver, ignored; it knows", list]);
    assert_warning(
        cloud(parameters),
        FindingKind::Doubtful,
        &["DriverParameters.ResourceGroup", "a parameter of another driver, ignored; this one knows", list],
    );
}

#[test]
fn what_is_not_ours_is_ignored_silently() {
    let lines =
        "    Quux: {a: 1}\n    Collections: {Strange: 1}\n    Elsewhere: 3\n    Volumes: {a: {Foo: 1}}\n";
    let warnings = load(lines).unwrap().warnings;
    assert!(warnings.iter().all(|it| it.kind != FindingKind::UnknownKey), "{warnings:?}");
}

#[test]
fn a_reserve_that_means_nothing_is_told_with_its_place() {
    for (reserve, words) in [
        ("{small: {Instances: -1}}", ["small.Instances", "`-1`", "from 0"]),
        ("{small: {Instances: 0}}", ["small.Instances", "missing", "PercentOfBusy"]),
        ("{small: 2}", ["small", "where a map is wanted", ""]),
        ("{small: {Instances: 1, Hour: 8}}", ["small.Hour", "no such key", "Hours"]),
        ("{small: {Instances: 1, Days: Mo-Fr}}", ["small.Days", "`Mo-Fr`", "Mon-Fri"]),
        ("{small: {Instances: 1, Hours: 8-18}}", ["small.Hours", "`8-18`", "08:00-18:00"]),
        ("{small: {Instances: 1, TimeZone: Europe/Nowhere}}", ["small.TimeZone", "Nowhere", "tzdata"]),
        ("{small: {PercentOfBusy: 2000}}", ["small.PercentOfBusy", "`2000`", "to 1000"]),
        (
            "{small: {day: {Instances: 1}, night: {Instances: 1, Hours: 1-2}}}",
            ["small.night.Hours", "`1-2`", "two different times"],
        ),
    ] {
        assert_problem(
            cloud(&format!("        IdleReserve: {reserve}\n")),
            &["IdleReserve", words[0], words[1], words[2]],
        );
    }
}

#[test]
fn doubtful_settings_are_warnings() {
    let doubtful = FindingKind::Doubtful;
    assert_warning(load(""), doubtful, &["InstanceTypes", "no instance types"]);
    assert_warning(load(""), doubtful, &["CloudVMs.Enable", "runs all the same"]);
    let few = "        MaxProbesPerSecond: 1\n        MaxInstances: 100\n";
    assert_warning(cloud(few), doubtful, &["MaxProbesPerSecond", "MaxInstances 100", "every 100 s"]);
    assert_warning(
        cloud("        MaxInstanceAge: 168h\n"),
        doubtful,
        &["MaxInstanceAge", "without a DriftBudget"],
    );
    assert_warning(
        cloud("        IdleReserve: {huge: {Instances: 1}}\n"),
        doubtful,
        &["IdleReserve.huge", "no instance type of that name"],
    );
    let no_token = minimal(&TestKey::new(), "").replace("ManagementToken: m", "ManagementToken: ''");
    assert_warning(load_text(&no_token), doubtful, &["ManagementToken", "403"]);
}

#[test]
fn variables_of_the_environment_choose_the_listener_or_are_compared_only() {
    let text = minimal(&TestKey::new(), "").replace(
        "      Controller:",
        "      DispatchCloud: {InternalURLs: {\"http://a:1\": {}, \"http://b:2/\": {ListenURL: \"http://127.0.0.1:3\"}}}\n      Controller:",
    );
    let with = |environment| parse("config.yml", text.as_bytes(), None, &environment, &HOST);
    let chosen =
        |url: &str| Environment { service_internal_url: Some(url.to_owned()), ..Environment::default() };
    let addresses = |environment| {
        let settings = with(environment).unwrap().settings;
        settings.listeners.iter().map(|it| it.address()).collect::<Vec<_>>()
    };
    assert_eq!(addresses(Environment::default()), [("a".to_owned(), 1), ("127.0.0.1".to_owned(), 3)]);
    assert_eq!(addresses(chosen("http://b:2")), [("127.0.0.1".to_owned(), 3)]);
    assert_eq!(addresses(chosen("http://c:4/")), [("c".to_owned(), 4)]);
    assert_warning(
        with(chosen("http://c:4/")),
        FindingKind::Doubtful,
        &["InternalURLs", "http://c:4/", "not listed"],
    );
    assert_problem(with(chosen("nonsense")), &["ARVADOS_SERVICE_INTERNAL_URL=nonsense is not accepted"]);
    let differing = Environment { api_host: Some("other.example.com".to_owned()), ..Environment::default() };
    assert_warning(with(differing), FindingKind::Doubtful, &["ARVADOS_API_HOST of the environment differs"]);
}

#[test]
fn intervals_that_are_not_positive_are_the_defaults() {
    let settings =
        cloud("        PollInterval: 0\n        TimeoutIdle: -5s\n        MaxProbesPerSecond: 0\n")
            .unwrap()
            .settings;
    assert_eq!((settings.policy.poll_interval.as_secs(), settings.policy.timeout_idle.as_secs()), (10, 60));
    assert_eq!(settings.policy.max_probes_per_second, Some(10));
    assert_eq!(load("").unwrap().settings.policy.max_probes_per_second, None);
}

#[test]
fn the_runner_is_a_file_nothing_or_this_program() {
    let runner = |engine: &str, line: &str| {
        let lines = format!("      RuntimeEngine: {engine}\n      CloudVMs:\n        ImageID: ami-1\n{line}");
        load_without_image(&lines).unwrap().settings
    };
    let file = RunnerBinary::File("/usr/bin/crunch-run".into());
    let own = "        DeployRunnerBinary: /proc/self/exe\n";
    assert_eq!(runner("docker", "").cloud.runner, file);
    assert_eq!(runner("docker", own).cloud.runner, file);
    assert_eq!(runner("process", "").cloud.runner, file);
    assert_eq!(runner("process", own).cloud.runner, RunnerBinary::ThisProgram);
    let none = runner("docker", "        DeployRunnerBinary: ''\n");
    assert_eq!((&none.cloud.runner, none.policy.runner.deploy_directory), (&RunnerBinary::None, None));
}

#[test]
fn preemptible_types_are_derived_unless_their_name_is_taken() {
    let types = "    InstanceTypes:\n      a: {ProviderType: x, VCPUs: 1, RAM: 1G, Price: 2}\n      b: {VCPUs: 1, RAM: 1G, Price: 2}\n      b.preemptible: {VCPUs: 9, RAM: 1G, Price: 5, Preemptible: true}\n";
    let key = TestKey::new();
    let containers = format!(
        "    Containers: {{DispatchPrivateKey: {}, PreemptiblePriceFactor: 0.5, CloudVMs: {{ImageID: a}}}}\n",
        key.yaml()
    );
    let settings = load_text(&minimal(&key, &format!("{containers}{types}"))).unwrap().settings;
    let names: Vec<_> = settings.policy.catalog.types().iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let derived = settings.policy.catalog.get("a.preemptible").unwrap();
    assert_eq!(
        (derived.price.per_hour(), derived.preemptible, derived.provider_type.as_str()),
        (1.0, true, "x")
    );
    assert_eq!(settings.policy.catalog.get("b").unwrap().provider_type.as_str(), "b");
    assert_eq!(settings.policy.catalog.get("b.preemptible").unwrap().vcpus, 9);
    assert_eq!(settings.cluster_json()["InstanceTypes"]["a.preemptible"]["Price"], 1.0);
}

#[test]
fn loopback_without_types_is_this_machine_and_with_two_needs_instances() {
    let loopback = "      CloudVMs: {Driver: loopback}\n";
    let settings = load_without_image(loopback).unwrap().settings;
    let localhost = settings.policy.catalog.get("localhost").unwrap();
    assert_eq!(
        (localhost.vcpus, localhost.ram, localhost.included_scratch),
        (HOST.vcpus, HOST.ram, HOST.scratch)
    );
    let two = "    InstanceTypes: {a: {VCPUs: 1, RAM: 1G}, b: {VCPUs: 1, RAM: 1G}}\n";
    assert_problem(
        load_without_image(&format!("{loopback}{two}")),
        &["InstanceTypes", "2 types", "Instances"],
    );
    let more = "      CloudVMs: {Driver: loopback, DriverParameters: {Instances: 3, BootDelay: 2s, StateDirectory: /x}}\n";
    let settings = load_without_image(&format!("{more}{two}")).unwrap().settings;
    let parameters = settings.driver.parameters;
    assert_eq!((parameters.count("Instances"), parameters.duration("BootDelay").as_secs()), (3, 2));
    let none = "      CloudVMs: {Driver: loopback, DriverParameters: {Instances: 0}}\n";
    assert_problem(load_without_image(none), &["DriverParameters.Instances", "`0`", "from 1 on"]);
}

#[test]
fn ec2_takes_its_ids_in_every_form_that_sites_use() {
    let ec2 = |parameters: &str| {
        let loaded = cloud(&format!("        DriverParameters: {parameters}\n")).unwrap();
        Ec2::new(&loaded.settings.driver.parameters)
    };
    assert_eq!(
        ec2("{SecurityGroupIDs: {sg-1: {}, sg-2: {}}, SubnetID: subnet-1}").security_group_ids,
        ["sg-1", "sg-2"]
    );
    assert_eq!(ec2("{SubnetID: subnet-1}").subnet_ids, ["subnet-1"]);
    assert_eq!(ec2("{SubnetID: [subnet-1, subnet-2]}").subnet_ids, ["subnet-1", "subnet-2"]);
    let defaults = ec2("{InstanceTypeQuotaGroups: {p5: mine, x1: x}}");
    assert_eq!((defaults.ebs_volume_type.as_str(), defaults.ebs_price), ("gp2", 0.1));
    assert_eq!(defaults.spot_price_update_interval.as_secs(), 86400);
    assert_eq!(defaults.instance_type_quota_groups["p5"], "mine");
    assert_eq!(defaults.instance_type_quota_groups.len(), 12);
    assert!(ec2("{SpotPriceUpdateInterval: 0}").spot_price_update_interval.is_zero());
}

#[test]
fn ec2_refuses_to_import_an_ecdsa_key() {
    use russh::keys::{Algorithm, EcdsaCurve, PrivateKey};
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }).unwrap();
    let pem = serde_json::to_string(&*key.to_openssh(Default::default()).unwrap()).unwrap();
    let with = |deploy| {
        format!(
            "    Containers:\n      DispatchPrivateKey: {pem}\n      CloudVMs: {{DeployPublicKey: {deploy}, ImageID: a}}\n"
        )
    };
    assert_problem(
        load_text(&minimal(&TestKey::new(), &with(true))),
        &["DeployPublicKey", "ECDSA", "ED25519"],
    );
    assert!(load_text(&minimal(&TestKey::new(), &with(false))).is_ok());
}

#[test]
fn the_database_is_described_by_lower_case_keywords_with_values() {
    let connection =
        "    PostgreSQL: {Connection: {Host: db, port: 5432, PASSWORD: hunter2, sslrootcert: ''}}\n";
    let settings = load(connection).unwrap().settings;
    let keywords: Vec<_> =
        settings.postgresql.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(keywords, ["host=db", "password=hunter2", "port=5432"]);
    assert!(settings.postgresql.is_configured());
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(!load("").unwrap().settings.postgresql.is_configured());
    let odd = load("    PostgreSQL: {Connection: {host: db, search_path: public}}\n").unwrap().warnings;
    assert!(
        odd.iter().any(|it| it.path.ends_with("search_path") && it.message.contains("no effect")),
        "{odd:?}"
    );
}

#[test]
fn instances_belong_to_the_token() {
    let of = |token: &str| {
        let text =
            minimal(&TestKey::new(), "").replace("SystemRootToken: s", &format!("SystemRootToken: {token}"));
        load_text(&text).unwrap().settings.policy.instance_set_id.to_string()
    };
    assert_eq!(of("v2/zzzzz-gj3su-000000000000000/abc"), "zzzzz-gj3su-000000000000000");
    // printf s | md5sum
    assert_eq!(of("s"), "03c7c0ace395d80182db07ae2c30f034");
}

#[test]
fn storage_classes_are_implied_only_if_nobody_names_one() {
    let classes = |lines: &str| {
        let settings = load(lines).unwrap().settings;
        let cluster = settings.cluster_json();
        (cluster["StorageClasses"].to_string(), cluster["Volumes"]["v"]["StorageClasses"].to_string())
    };
    let implied = r#"{"default":{"Default":true,"Priority":0}}"#.to_owned();
    assert_eq!(classes("    Volumes: {v: {}}\n"), (implied, r#"{"default":true}"#.to_owned()));
    let by_volume = classes("    Volumes: {v: {}, w: {StorageClasses: {fast: true}}}\n");
    assert_eq!(by_volume, ("{}".to_owned(), "{}".to_owned()));
    let by_site = classes("    StorageClasses: {fast: {Default: yes}}\n    Volumes: {v: {}}\n");
    assert_eq!(by_site, (r#"{"fast":{"Default":true,"Priority":0}}"#.to_owned(), "{}".to_owned()));
}

#[test]
fn no_nulls_and_no_samples_are_sent() {
    let lines = "    Volumes: {v: {ReadOnly: ~, DriverParameters: {a: ~, SAMPLE: 1}}, SAMPLE: {x: 1}}\n    Extra: {l: [1, ~]}\n";
    let settings = load(lines).unwrap().settings;
    let text = settings.cluster_json().to_string();
    assert!(!text.contains("null") && !text.contains("SAMPLE"), "{text}");
    assert_eq!(settings.cluster_json()["Volumes"]["v"]["ReadOnly"], false);
    assert_eq!(settings.cluster_json()["Extra"]["l"].to_string(), "[1]");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_damaged_file_is_refused_or_used_but_never_a_panic(
            cuts in prop::collection::vec((0_usize..4000, 0_usize..4000, "[-:{}\\[\\]&*!|>'\"%@`#,?~<\n a0]{0,3}"), 1..4)
        ) {
            let mut text = config_support::site_text(&TestKey::new());
            for (start, length, replacement) in cuts {
                let start = text.floor_char_boundary(start % text.len().max(1));
                let end = text.floor_char_boundary((start + length % 40).min(text.len()));
                text.replace_range(start..end, &replacement);
            }
            if let Err(error) = load_text(&text) {
                prop_assert!(!error.problems.is_empty());
            }
        }
    }
}
