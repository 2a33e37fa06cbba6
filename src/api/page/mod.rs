//! The page at `/`: the whole cluster at a glance. One HTML file, which the files of this folder are joined to.
//!
//! ```text
//!   index.html ◄── style.css
//!              ◄── *.mjs, in the order of MODULES, without their imports and exports: one script
//!              ◄── the words for each reason, as the rest of the program has them
//! ```
//! The modules import each other as modules do, so a reader sees who needs whom, and tests can load one alone. In the page
//! they are one script: its hash in the Content-Security-Policy is all that a browser may run.
//!
//! The page has no data: it asks the management API for everything, with the token that its reader has given it. So it is
//! the one thing that is answered to whoever shows no token.
//!
//! Never does: asking another host for anything; making HTML of a text that somebody else has written.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderName, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_core::plan::WaitReason;
use dispatch_core::pool::PauseReason;
use serde_json::json;
use sha2::{Digest as _, Sha256};

const HTML: &str = include_str!("index.html");
const STYLE: &str = include_str!("style.css");
/// Each needs those before it only.
const MODULES: [(&str, &str); 18] = [
    ("text.mjs", include_str!("text.mjs")),
    ("dom.mjs", include_str!("dom.mjs")),
    ("client.mjs", include_str!("client.mjs")),
    ("model.mjs", include_str!("model.mjs")),
    ("past.mjs", include_str!("past.mjs")),
    ("pane.mjs", include_str!("pane.mjs")),
    ("line.mjs", include_str!("line.mjs")),
    ("fleet.mjs", include_str!("fleet.mjs")),
    ("strips.mjs", include_str!("strips.mjs")),
    ("log.mjs", include_str!("log.mjs")),
    ("head.mjs", include_str!("head.mjs")),
    ("order.mjs", include_str!("order.mjs")),
    ("pieces.mjs", include_str!("pieces.mjs")),
    ("explain.mjs", include_str!("explain.mjs")),
    ("vm.mjs", include_str!("vm.mjs")),
    ("status.mjs", include_str!("status.mjs")),
    ("detail.mjs", include_str!("detail.mjs")),
    ("main.mjs", include_str!("main.mjs")),
];

/// What stands in `index.html` for the other files.
const PLACES: [&str; 3] = ["/* style */", "/* words */", "/* script */"];

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

static PAGE: LazyLock<Page> = LazyLock::new(Page::join);

/// The page, and what its headers say of it.
struct Page {
    text: String,
    policy: String,
    tag: String,
}

/// The page, for whoever asks.
pub(super) async fn page(request: HttpRequest) -> HttpResponse {
    let page = &*PAGE;
    let known = request.headers().get(IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    let is_known = known.is_some_and(|known| known == page.tag);
    let mut answer = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((CONTENT_SECURITY_POLICY, page.policy.as_str()))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CROSS_ORIGIN_OPENER_POLICY, "same-origin"))
        // Another version of the service has another page: a browser asks each time whether it is still the same.
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, page.tag.as_str()));
    match is_known {
        true => answer.finish(),
        false => answer.content_type("text/html; charset=utf-8").body(page.text.as_str()),
    }
}

impl Page {
    fn join() -> Self {
        let script: String = MODULES.iter().map(|(_, text)| as_script(text)).collect();
        let [style_place, words_place, script_place] = PLACES;
        let text =
            HTML.replace(style_place, STYLE).replace(words_place, &words()).replace(script_place, &script);
        let tag = format!("\"{}\"", hash(&text));
        Self { policy: policy(STYLE, &script), text, tag }
    }
}

/// A module's text without what makes it a module.
fn as_script(module: &str) -> String {
    let lines = module.lines().filter(|line| !line.starts_with("import "));
    lines.map(|line| format!("{}\n", line.strip_prefix("export ").unwrap_or(line))).collect()
}

/// Nothing but the page's own style and script, and its own host. No text becomes HTML or a script (Trusted Types).
fn policy(style: &str, script: &str) -> String {
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
        hash(script),
        hash(style),
    )
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

/// The words for reasons, and for the causes of pauses.
fn words() -> String {
    let reasons: BTreeMap<_, _> = WaitReason::samples().iter().map(|it| (it.word(), it.in_words())).collect();
    let causes = PauseReason::ALL.map(|it| json!([it, it.in_words()]));
    // Nothing that a browser could take for the end of the script.
    json!({ "reasons": reasons, "causes": causes }).to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests;
