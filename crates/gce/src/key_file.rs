//! A service account's key, as Google gives it to be downloaded. The file is read anew whenever a token is asked for: sites
//! replace keys. Nothing of what is in it is ever told, but its type, account and project.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use dispatch_cloud_kit::endpoint::is_safe;
use ring::rsa::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

/// Some kilobytes are usual.
const LONGEST_FILE: u64 = 1 << 20;
/// Where Google's cloud calls itself; clouds of partners have names of their own.
const UNIVERSE: &str = "googleapis.com";

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct KeyFileError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it; nothing of what is in it.
    pub why: String,
}

/// A key that can sign.
pub(crate) struct KeyFile {
    pub key: KeyPair,
    pub key_id: String,
    pub email: String,
    /// Where tokens are asked for.
    pub token_uri: Url,
    /// As the file has it: who is asked compares the text.
    pub audience: String,
    /// The key's project; may be empty.
    pub project: String,
    /// Whether everybody on this machine may read or write it.
    pub is_open_to_all: bool,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    project_id: String,
    #[serde(default)]
    private_key_id: String,
    private_key: String,
    client_email: String,
    token_uri: String,
    #[serde(default)]
    universe_domain: String,
}

#[derive(Deserialize)]
struct Type {
    #[serde(rename = "type")]
    name: String,
}

impl KeyFile {
    /// Reads and checks it.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        Self::of(path).map_err(|why| KeyFileError { path: path.to_owned(), why })
    }

    fn of(path: &Path) -> Result<Self, String> {
        let (text, is_open_to_all) = text_of(path).map_err(|error| format!("cannot read it: {error}"))?;
        let mut content = content(&text)?;
        let private_key = Zeroizing::new(std::mem::take(&mut content.private_key));
        if !["", UNIVERSE].contains(&content.universe_domain.as_str()) {
            return Err(
                "it is of another cloud than googleapis.com (universe_domain), which is not supported"
                    .to_owned(),
            );
        }
        Ok(Self {
            key: key_pair(&private_key)?,
            key_id: content.private_key_id,
            email: content.client_email,
            token_uri: token_uri(&content.token_uri)?,
            audience: content.token_uri,
            project: content.project_id,
            is_open_to_all,
        })
    }
}

fn text_of(path: &Path) -> std::io::Result<(Zeroizing<Vec<u8>>, bool)> {
    // Before it is opened: whoever opens a pipe waits for its writer.
    usable(&std::fs::metadata(path)?)?;
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    usable(&metadata)?;
    // Of its final size from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.take(LONGEST_FILE).read_to_end(&mut bytes)?;
    Ok((bytes, metadata.mode() & 0o006 != 0))
}

fn usable(metadata: &std::fs::Metadata) -> std::io::Result<()> {
    match metadata.is_file() && metadata.len() <= LONGEST_FILE {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("no file, or longer than {LONGEST_FILE} bytes"))),
    }
}

/// What a parser says of a text may repeat parts of it.
fn content(text: &[u8]) -> Result<Content, String> {
    let Ok(Type { name }) = serde_json::from_slice(text) else {
        return Err("it is not the JSON of credentials, which has a type".to_owned());
    };
    match name.as_str() {
        "service_account" => {}
        "external_account"
        | "external_account_authorized_user"
        | "impersonated_service_account"
        | "authorized_user"
        | "gdch_service_account" => {
            return Err(format!(
                "credentials of type {name} are not supported: use the key of a service account (type \
                 service_account), or give this host a service account"
            ));
        }
        _ => return Err("credentials of its type are unknown; wanted is service_account".to_owned()),
    }
    let lacking = |_| "it lacks one of private_key, client_email and token_uri, or one is no text".to_owned();
    serde_json::from_slice(text).map_err(lacking)
}

fn key_pair(pem: &str) -> Result<KeyPair, String> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes());
    let der =
        der.map_err(|_| "its private_key is not a PEM text of PKCS #8 (BEGIN PRIVATE KEY)".to_owned())?;
    KeyPair::from_pkcs8(der.secret_pkcs8_der())
        .map_err(|error| format!("its private_key is no usable RSA key: {error}"))
}

/// Whoever is there is given what a token can be had for: by https, unless it is this machine.
fn token_uri(text: &str) -> Result<Url, String> {
    let wanted =
        || "its token_uri is not an https URL such as https://oauth2.googleapis.com/token".to_owned();
    let url = Url::parse(text).map_err(|_| wanted())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_plain && is_safe(&url) && url.has_host() { Ok(url) } else { Err(wanted()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::{Value, json};

    use super::*;
    use crate::tests::keys;

    fn told(text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.json");
        std::fs::write(&path, text).unwrap();
        let told = KeyFile::read(&path).err().expect("it is wrong").to_string();
        assert!(told.contains("key.json: "), "{told}");
        told
    }

    fn changed(name: &str, value: Value) -> String {
        let mut content = keys::content("https://oauth2.googleapis.com/token");
        content[name] = value;
        told(&content.to_string())
    }

    #[test]
    fn a_key_is_read_and_one_that_all_may_read_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.json");
        std::fs::write(&path, keys::content("https://oauth2.googleapis.com/token").to_string()).unwrap();
        for (mode, is_open) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(KeyFile::read(&path).unwrap().is_open_to_all, is_open, "{mode:o}");
        }
        let file = KeyFile::read(&path).unwrap();
        assert_eq!((file.project.as_str(), file.key_id.as_str()), ("lab", "0123456789"));
        assert_eq!(file.token_uri.as_str(), "https://oauth2.googleapis.com/token");
    }

    #[test]
    fn credentials_of_other_types_are_refused_by_name() {
        for name in ["external_account", "authorized_user", "impersonated_service_account"] {
            let told = told(&json!({"type": name, "client_secret": "hunter2"}).to_string());
            assert!(
                told.contains(&format!("type {name} are not supported")) && !told.contains("hunter2"),
                "{told}"
            );
        }
        assert!(told(r#"{"type":"hunter2"}"#).contains("unknown; wanted is service_account"));
    }

    #[test]
    fn what_is_wrong_is_told_and_nothing_of_what_is_in_it() {
        for text in ["", "hunter2", "\"hunter2\"", "[]", r#"{"typ":"hunter2"}"#, r#"{"type":["hunter2"]}"#] {
            assert!(told(text).contains("not the JSON of credentials"), "{text}");
        }
        for (name, value, words) in [
            ("private_key", json!(["hunter2"]), "lacks one of"),
            ("private_key", json!("hunter2"), "not a PEM text of PKCS #8"),
            ("private_key", json!(keys::ec_key()), "no usable RSA key"),
            ("client_email", Value::Null, "lacks one of"),
            ("token_uri", json!("hunter2"), "https URL"),
            ("token_uri", json!("http://oauth2.googleapis.com/token"), "https URL"),
            ("token_uri", json!("http://localhost.evil.example/token"), "https URL"),
            ("token_uri", json!("https://hunter2@oauth2.googleapis.com/token"), "https URL"),
            ("universe_domain", json!("hunter2.example"), "another cloud"),
        ] {
            let told = changed(name, value);
            assert!(told.contains(words) && !told.contains("hunter2"), "{name}: {told}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_told() {
        let error = |path: &Path| KeyFile::read(path).err().unwrap().to_string();
        let directory = tempfile::tempdir().unwrap();
        assert!(error(&directory.path().join("absent")).contains("cannot read it: No such file"));
        assert!(error(directory.path()).contains("no file"));
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (tell, told) = std::sync::mpsc::channel();
        // If it were opened it would wait for ever.
        std::thread::spawn(move || tell.send(KeyFile::read(&pipe).err().unwrap().to_string()));
        let told = told.recv_timeout(std::time::Duration::from_secs(20)).expect("nobody waits for a writer");
        assert!(told.contains("no file"), "{told}");
    }
}
