use std::collections::BTreeSet;

use super::*;

/// The names in the braces of a line such as `import { a, b } from './c.mjs';`.
fn names_in_braces(line: &str) -> Vec<&str> {
    let inside = line.split(['{', '}']).nth(1).unwrap_or_default();
    inside.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// The name that a line at the left margin defines.
fn defined(line: &str) -> Option<&str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    let kinds = ["function* ", "function ", "class ", "const ", "let "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[test]
fn as_one_script_no_two_modules_define_one_name() {
    let mut names = BTreeSet::new();
    for (file, text) in MODULES {
        for name in text.lines().filter_map(defined) {
            assert!(names.insert(name), "{file}: {name} is another module's name, too");
        }
    }
    assert!(names.len() > 50, "{}", names.len());
}

#[test]
fn a_module_imports_what_a_module_before_it_exports() {
    let mut exported = BTreeSet::new();
    for (file, text) in MODULES {
        for line in text.lines().filter(|line| line.starts_with("import ")) {
            let from = line.split("'./").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
            for name in names_in_braces(line) {
                assert!(exported.contains(&(from, name)), "{file}: {from} before it exports no {name}");
            }
        }
        let lines = text.lines().filter(|line| line.starts_with("export "));
        exported.extend(lines.filter_map(defined).map(|name| (file, name)));
    }
}

#[test]
fn an_import_is_one_line_and_an_export_stands_before_a_definition() {
    for (file, text) in MODULES {
        for line in text.lines() {
            let is_import = line.starts_with("import");
            assert!(!is_import || line.ends_with(".mjs';"), "{file}: {line}");
            let is_export = line.starts_with("export");
            assert!(!is_export || defined(line).is_some(), "{file}: {line}");
        }
    }
}

#[test]
fn every_file_is_in_the_page_and_nothing_ends_its_script_early() {
    let page = Page::join();
    for place in PLACES {
        assert_eq!(HTML.matches(place).count(), 1, "{place}");
        assert!(!page.text.contains(place), "{place}");
    }
    assert_eq!(page.text.matches("</script").count(), 2);
    assert_eq!(page.text.matches("</style").count(), 1);
    assert!(page.text.contains(r#""account_quota":"the cloud account's limit is reached""#));
    assert!(page.text.contains(r#"["rate_limit","the cloud limits the rate of calls"]"#));
}

#[test]
fn nothing_in_the_page_makes_html_of_a_text_or_names_another_host() {
    let text = Page::join().text;
    let forbidden = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
        "srcdoc",
        "localStorage",
        "document.cookie",
        "https://",
        "style=\"",
    ];
    for word in forbidden {
        assert!(!text.contains(word), "{word}");
    }
    let others: Vec<_> =
        text.match_indices("http://").map(|(at, _)| &text[at..(at + 60).min(text.len())]).collect();
    assert!(others.iter().all(|it| it.starts_with("http://www.w3.org/2000/svg")), "{others:?}");
}
