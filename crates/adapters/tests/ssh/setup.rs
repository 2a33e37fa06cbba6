//! Tests that errors of the setup are reported at start, in one line.

use dispatch_adapters::ssh::{
    ClientSetup, KeyError, Options, SetupError, SshClient, SshExecutors, check_private_key,
};

use crate::support::World;

fn openssl(arguments: &[&str]) -> String {
    let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_missing_client_is_said_with_what_to_install() {
    let world = World::new(SshClient::OpenSsh);
    let error = SshExecutors::new(world.options_with("/nonexistent/ssh".into()));
    let text = error.err().unwrap().to_string();
    assert!(text.starts_with("cannot run /nonexistent/ssh: No such file"), "{text}");
    assert!(text.contains("openssh-client"), "{text}");
    let error = SshExecutors::new(world.options_with("/bin/false".into()));
    assert!(matches!(error.err().unwrap(), SetupError::StrangeClient { .. }));
}

#[test]
fn a_directory_that_cannot_be_made_is_said_with_its_path() {
    let world = World::new(SshClient::OpenSsh);
    let client = ClientSetup::OpenSsh { program: "ssh".into(), runtime_dir: "/proc/nowhere".into() };
    let error = SshExecutors::new(Options { client, ..world.options() });
    let text = error.err().unwrap().to_string();
    assert!(text.starts_with("cannot use ssh runtime directory /proc/nowhere: "), "{text}");
}

#[test]
fn keys_of_every_kind_and_format_are_accepted() {
    let ec = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
    let rsa = openssl(&["genrsa", "-traditional", "2048"]);
    let rsa_pkcs8 = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let ed25519 = openssl(&["genpkey", "-algorithm", "ED25519"]);
    let own = World::new(SshClient::OpenSsh);
    for (pem, kind) in [
        (&ec, "ecdsa-sha2-nistp256 "),
        (&rsa, "ssh-rsa "),
        (&rsa_pkcs8, "ssh-rsa "),
        (&ed25519, "ssh-ed25519 "),
        (&own.private, "ssh-ed25519 "),
    ] {
        let key = check_private_key(pem).unwrap();
        assert!(key.openssh_public.starts_with(kind), "{key:?}");
        // Configuration files may contain the key in this form.
        let indented = format!("\n{}", pem.trim().replace('\n', "\r\n    "));
        assert_eq!(check_private_key(&indented).unwrap(), key);
    }
    assert_eq!(check_private_key(&own.private).unwrap().openssh_public, own.public.trim());
}

#[test]
fn every_other_text_is_refused_with_its_reason() {
    let world = World::new(SshClient::OpenSsh);
    let encrypted = openssl(&["genpkey", "-algorithm", "ED25519", "-aes256", "-pass", "pass:x"]);
    let old_encrypted = openssl(&["genrsa", "-traditional", "-aes128", "-passout", "pass:x", "2048"]);
    let file = world.dir.path().join("key");
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "passphrase", "-f"]).arg(&file);
    assert!(keygen.status().unwrap().success());
    let openssh_encrypted = std::fs::read_to_string(&file).unwrap();
    for pem in [&encrypted, &old_encrypted, &openssh_encrypted] {
        assert_eq!(check_private_key(pem), Err(KeyError::Encrypted), "{pem}");
    }
    assert_eq!(check_private_key(" \n"), Err(KeyError::Empty));
    assert_eq!(check_private_key(&world.public), Err(KeyError::Public));
    assert_eq!(check_private_key("hello"), Err(KeyError::NotPem));
    let damaged = world.private.replace('Q', "R");
    let error = check_private_key(&damaged).unwrap_err();
    assert!(matches!(error, KeyError::Damaged(_)), "{error}");
    let dsa = "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n";
    assert!(check_private_key(dsa).is_err());
    assert!(!error.to_string().contains('\n'));
}
