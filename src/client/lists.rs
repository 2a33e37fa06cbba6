//! A list of the service, shown once, or again whenever it has changed.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::failure::Failure;
use super::http::Client;
use super::screen::Screen;
use super::table::Table;
use super::watch;
use crate::cli::Options;
use crate::cli::service::ListOptions;

/// What is listed.
pub(super) struct Kind {
    /// Where the service has the list.
    pub(super) path: &'static str,
    /// What people read of an empty one.
    pub(super) nothing: &'static str,
    /// The table of these items, or what is wrong with one of them.
    pub(super) table: fn(&Client, &[Value]) -> Result<Table, Failure>,
}

impl Kind {
    /// Asks for the list, and shows it.
    pub async fn show(
        &self,
        options: &Options,
        list: &ListOptions,
        screen: &Screen,
    ) -> Result<ExitCode, Failure> {
        let mut client = Client::of(options, &list.at)?;
        if list.watch {
            let look = async || {
                let items = client.list(self.path).await?;
                if list.json {
                    Ok(json!({ "items": items }).to_string())
                } else {
                    self.text(&client, &items, list, screen)
                }
            };
            watch::forever(list.interval, *screen, list.json, look).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let items = client.list(self.path).await?;
        screen.print(&if list.json { lines(&items) } else { self.text(&client, &items, list, screen)? })?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(
        &self,
        client: &Client,
        items: &[Value],
        list: &ListOptions,
        screen: &Screen,
    ) -> Result<String, Failure> {
        let table = (self.table)(client, items)?;
        if screen.is_terminal && items.is_empty() {
            return Ok(self.nothing.to_owned());
        }
        Ok(if screen.is_terminal { table.drawn(screen.has_colour) } else { table.separated(list.header) })
    }
}

/// One JSON object a line.
fn lines(items: &[Value]) -> String {
    items.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}
