//! PEM texts as they stand in configuration files: indented, with blanks at line ends, with CRLF.

/// The same text with one line end everywhere, and without blanks around its lines and empty lines around it.
pub fn clean(text: &str) -> String {
    // Of its final size from the start: a text that grows leaves copies behind, and this may be a private key.
    let mut clean = String::with_capacity(text.len() + 1);
    for line in text.trim().lines() {
        clean.push_str(line.trim());
        clean.push('\n');
    }
    clean
}

/// Whether lines of a private key were joined, as a YAML text without `|` is: a reader of PEM finds nothing in it.
pub fn is_folded(text: &str) -> bool {
    let is_joined = |line: &str| {
        let is_mark =
            line.starts_with("-----") && line.ends_with("-----") && line.matches("-----").count() == 2;
        // `Proc-Type: 4,ENCRYPTED` and its like have blanks, too.
        let is_field = line.contains(": ");
        !is_mark && !is_field && (line.contains("-----") || line.contains(' '))
    };
    text.contains("PRIVATE KEY-----") && text.lines().map(str::trim).any(is_joined)
}
