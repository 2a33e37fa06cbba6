//! What is wrong with a file, and what is merely odd: each with its place and path.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::yaml::{Note, NoteKind, Position};

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// It must be corrected.
    Problem,
    /// A key that nobody knows: ignored, and an error under `config check --strict`.
    UnknownKey,
    /// A key that is given twice: the last value counts, and it is an error under `config check --strict`.
    Twice,
    /// Something that makes the service easier to attack: an error under `config check --strict`.
    Unsafe,
    /// Something that is probably not meant.
    Doubtful,
}

impl FindingKind {
    /// Whether `config check --strict` refuses it.
    pub fn is_refused_if_strict(self) -> bool {
        match self {
            Self::Problem | Self::UnknownKey | Self::Twice | Self::Unsafe => true,
            Self::Doubtful => false,
        }
    }
}

/// A sentence about a place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How serious it is.
    pub kind: FindingKind,
    /// The file's name, `-` = standard input.
    pub file: Arc<str>,
    /// Where in it; `None` = it is about something that is not there.
    pub at: Option<Position>,
    /// The key, from `Clusters` on; empty = the file as a whole.
    pub path: String,
    /// What is wrong and what is accepted. Never a secret.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why a configuration cannot be used: everything that is wrong with it, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// At least one.
    pub problems: Vec<Finding>,
}

impl std::error::Error for SettingsError {}

impl fmt::Display for SettingsError {
    /// The text, one line for each problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl From<Finding> for SettingsError {
    fn from(problem: Finding) -> Self {
        Self { problems: vec![problem] }
    }
}

/// Collects findings while a file is read, so that all are told at once.
#[derive(Debug)]
pub struct Report {
    file: Arc<str>,
    /// Keys that a driver keeps secret, whatever their names look like.
    secrets: Vec<&'static str>,
    problems: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
}

impl Report {
    /// A report without findings.
    pub fn new(file: Arc<str>) -> Self {
        Self { file, secrets: Vec::new(), problems: RefCell::default(), warnings: RefCell::default() }
    }

    /// The same, where the values of these keys must not be shown either.
    pub fn hiding(self, secrets: Vec<&'static str>) -> Self {
        Self { secrets, ..self }
    }

    /// Whether the value at that path, or a part of it, must not be shown.
    pub fn is_secret(&self, path: &str) -> bool {
        let is_declared = |part: &str| self.secrets.iter().any(|it| it.eq_ignore_ascii_case(part));
        path.split(['.', '[']).any(is_declared) || has_secret_name(path.rsplit('.').next().unwrap_or(path))
    }

    /// Something that must be corrected.
    pub fn problem(&self, at: Option<Position>, path: &str, message: impl Into<String>) {
        self.problems.borrow_mut().push(self.finding(FindingKind::Problem, at, path, message.into()));
    }

    /// Something that is probably not meant.
    pub fn doubt(&self, at: Option<Position>, path: &str, message: impl Into<String>) {
        self.warnings.borrow_mut().push(self.finding(FindingKind::Doubtful, at, path, message.into()));
    }

    /// A key that nobody knows.
    pub fn unknown_key(&self, at: Option<Position>, path: &str, message: impl Into<String>) {
        self.warnings.borrow_mut().push(self.finding(FindingKind::UnknownKey, at, path, message.into()));
    }

    /// Something that makes the service easier to attack.
    pub fn unsafe_setting(&self, at: Option<Position>, path: &str, message: impl Into<String>) {
        self.warnings.borrow_mut().push(self.finding(FindingKind::Unsafe, at, path, message.into()));
    }

    /// What is odd about how the file is written.
    pub fn note(&self, note: Note) {
        let kind = match note.kind {
            NoteKind::Twice => FindingKind::Twice,
            NoteKind::AnotherDocument => FindingKind::Doubtful,
        };
        self.warnings.borrow_mut().push(self.finding(kind, Some(note.at), &note.path, note.message));
    }

    fn finding(&self, kind: FindingKind, at: Option<Position>, path: &str, message: String) -> Finding {
        let (path, message) = (without_userinfo(path), without_userinfo(&message));
        Finding { kind, file: self.file.clone(), at, path, message }
    }

    /// The warnings, unless there are problems.
    ///
    /// # Errors
    /// All problems, those without a place last.
    pub fn finish(self) -> Result<Vec<Finding>, SettingsError> {
        let in_order = |mut findings: Vec<Finding>| {
            findings.sort_by_key(|it| (it.at.is_none(), it.at));
            // A value can be wrong for its type and for the section as a whole: the first word is enough.
            findings.dedup_by(|a, b| (a.at, &a.path, a.kind) == (b.at, &b.path, b.kind));
            findings
        };
        let problems = in_order(self.problems.into_inner());
        if problems.is_empty() {
            Ok(in_order(self.warnings.into_inner()))
        } else {
            Err(SettingsError { problems })
        }
    }
}

/// Whether a key is named like a secret.
fn has_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let ends = ["token", "tokens", "key"].iter().any(|end| key.ends_with(end));
    let within = ["password", "passphrase", "passwd", "secret", "credential", "privatekey"];
    (ends || within.iter().any(|word| key.contains(word))) && !key.ends_with("publickey")
}

/// The same text, where what stands before the `@` of a URL, and what a query calls a token or a password, is not
/// shown.
pub fn without_userinfo(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "`\"'".contains(c)).unwrap_or(after.len());
        let (url, more) = after.split_at(end);
        let host_ends = url.find(['/', '?', '#']).unwrap_or(url.len());
        // A password may have slashes in it that nobody has escaped.
        let at = url[..host_ends].rfind('@').or_else(|| url.find('@'));
        let url = at.map_or_else(|| url.to_owned(), |at| format!("(secret){}", &url[at..]));
        shown.push_str(&without_secret_parameters(&url));
        rest = more;
    }
    shown + rest
}

fn without_secret_parameters(url: &str) -> String {
    let Some((base, query)) = url.split_once('?') else { return url.to_owned() };
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if has_secret_name(name) => format!("{name}=(secret)"),
        _ => pair.to_owned(),
    };
    format!("{base}?{}", query.split('&').map(shown).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_not_shown() {
        for (text, shown) in [
            ("http://user:hunter2@h:1/x", "http://(secret)@h:1/x"),
            ("`http://hunter2@h/`: no", "`http://(secret)@h/`: no"),
            ("a.http://u:hun/ter2@h/.b", "a.http://(secret)@h/.b"),
            ("x http://a/ y https://u:p@b z", "x http://a/ y https://(secret)@b z"),
            ("http://h/?api_token=v2&a=b&password=p", "http://h/?api_token=(secret)&a=b&password=(secret)"),
            ("mail a@b.c", "mail a@b.c"),
            ("http://h/a@b", "http://(secret)@b"),
        ] {
            assert_eq!(without_userinfo(text), shown, "{text}");
        }
    }

    #[test]
    fn keys_that_are_named_like_secrets_are_known() {
        for key in
            ["SecretKeyBase", "EmailPassphrase", "api_token", "ClientSecret", "PrivateKeyFile", "AccessKey"]
        {
            assert!(has_secret_name(key), "{key}");
        }
        for key in ["DeployPublicKey", "TokenLifetime", "TagKeyPrefix", "Region"] {
            assert!(!has_secret_name(key), "{key}");
        }
    }
}
