//! The controller's event feed, if the site has one.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use dispatch_adapters::events::{Feed, Options};
use dispatch_core::ports::EventFeed;

use crate::settings::Settings;

/// An attempt to connect has this long: a call may take minutes because the controller works, and this one does not.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// Opens the feed; `None` if the site has no `Services.Websocket.ExternalURL`. It connects by itself from now on, and
/// never ends the service: whatever becomes of it, the queue is polled.
///
/// # Errors
/// If this machine has no certificate authorities. One line.
pub fn open(settings: &Settings) -> Result<Option<Rc<dyn EventFeed>>> {
    let urls = settings.websocket.feed_urls();
    if urls.is_empty() {
        return Ok(None);
    }
    let feed = Feed::open(Options {
        urls,
        token: settings.system_root_token.clone(),
        cluster: settings.policy.cluster_id.clone(),
        insecure: settings.controller.insecure,
        timeout: settings.controller.request_timeout.min(CONNECT_WITHIN),
        ping_interval: settings.websocket.ping_interval,
        chance: Box::new(rand::random::<f64>),
    })
    .context("cannot use Services.Websocket.ExternalURL")?;
    Ok(Some(Rc::new(feed)))
}
