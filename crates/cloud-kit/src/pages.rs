//! Lists that come in pages.
//!
//! ```text
//!   the first page ─ names the next ─► the next ─ … ─► one that names none ─► the list
//!                  a page that fails, a name that came before, a thousand pages ─► no list
//! ```
//! A part of a list is none: what is missing in it would be taken for what has ended.

use std::collections::BTreeSet;

use crate::failure::{Failure, Meaning};

/// A million instances, or an endless list.
const MOST_PAGES: usize = 1000;

/// All pages, each asked for by the name that the one before had for it. `list` is what people call it.
///
/// # Errors
/// The first failure of a page; or if the list has no end.
pub async fn all<T, F>(list: &str, page: impl Fn(Option<String>) -> F) -> Result<Vec<T>, Failure>
where
    F: Future<Output = Result<(Vec<T>, Option<String>), Failure>>,
{
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    let mut name: Option<String> = None;
    loop {
        let (items, next) = page(name).await?;
        all.extend(items);
        let Some(next) = next.filter(|it| !it.is_empty()) else { return Ok(all) };
        if !seen.insert(next.clone()) || seen.len() > MOST_PAGES {
            let text = format!("{list}: a list without end");
            return Err(Failure::ours(Meaning::Unknown, "malformed", text));
        }
        name = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The list of a cloud whose pages have one item, its number, and are called so; and how many were asked for.
    async fn listed(next: impl Fn(u32) -> Result<Option<u32>, Failure>) -> (Result<Vec<u32>, Failure>, u32) {
        let asked = Cell::new(0);
        let page = |name: Option<String>| {
            asked.set(asked.get() + 1);
            let number = name.map_or(0, |name| name.parse().unwrap());
            let next = next(number).map(|next| next.map(|next| next.to_string()));
            async move { next.map(|next| (vec![number], next)) }
        };
        (all("Things", page).await, asked.get())
    }

    #[tokio::test]
    async fn pages_are_read_until_none_is_named() {
        let (list, asked) = listed(|number| Ok((number < 4).then_some(number + 1))).await;
        assert_eq!((list.unwrap(), asked), (vec![0, 1, 2, 3, 4], 5));
        let unnamed = all("Things", async |_| Ok((vec![1], Some(String::new())))).await;
        assert_eq!(unnamed.unwrap(), [1], "an empty name is none");
    }

    #[tokio::test]
    async fn a_page_that_fails_fails_the_list() {
        let refusal = Failure::ours(Meaning::Throttled, "Slow", "slow down");
        let (list, _) =
            listed(|number| if number < 2 { Ok(Some(number + 1)) } else { Err(refusal.clone()) }).await;
        assert_eq!(list.unwrap_err(), refusal);
    }

    #[tokio::test]
    async fn a_list_without_end_is_given_up() {
        let (list, asked) = listed(|number| Ok(Some((number + 1) % 3))).await;
        assert_eq!((list.unwrap_err().code.as_str(), asked), ("malformed", 4));
        let (list, asked) = listed(|number| Ok(Some(number + 1))).await;
        assert!(list.unwrap_err().message.contains("Things: a list without end"));
        assert_eq!(asked as usize, MOST_PAGES + 1);
    }
}
