//! Lists as JSON, a piece at a time: a list of 100,000 items is 160 MB, and takes seconds to write.
//!
//! ```text
//!   snapshot ─► a piece ─► other requests have their turn, the client reads ─► the next piece ─► … ─► the end
//! ```
//! So no request of this thread waits for another's list, and no list is in memory as a whole. All pieces are of the
//! same moment: they are made from the same snapshot. Each item is a line of its own, so a client can read a long list
//! as it comes, an item at a time: the page does.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use bytes::Bytes;
use futures_util::stream;

use super::error::Errors;

/// How many items are written before others have their turn: some milliseconds.
const PIECE: usize = 100;

/// What a list is made of.
pub(super) trait Items: 'static {
    /// How many there are.
    fn count(&self) -> usize;

    /// Writes the one at that place.
    fn write(&self, place: usize, to: &mut Vec<u8>) -> serde_json::Result<()>;
}

/// The answer `{"items": […]}`. A short list is sent as a whole, with its length.
pub(super) fn answer(items: impl Items) -> HttpResponse {
    let mut list = List { items, next: 0, is_begun: false };
    let first = match list.piece() {
        Ok(piece) => piece,
        Err(error) => {
            return HttpResponse::InternalServerError().json(Errors::one(error));
        }
    };
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::json());
    if list.is_complete() {
        return response.body(first);
    }
    response.streaming(stream::unfold((list, Some(first)), |(mut list, first)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (list, None)));
        }
        tokio::task::yield_now().await;
        (!list.is_complete()).then(|| (list.piece(), (list, None)))
    }))
}

struct List<I> {
    items: I,
    next: usize,
    is_begun: bool,
}

impl<I: Items> List<I> {
    fn is_complete(&self) -> bool {
        self.is_begun && self.next >= self.items.count()
    }

    /// The next piece, with what comes before the first item and after the last.
    fn piece(&mut self) -> serde_json::Result<Bytes> {
        let mut piece = Vec::new();
        if !std::mem::replace(&mut self.is_begun, true) {
            piece.extend_from_slice(br#"{"items":["#);
        }
        let end = self.items.count().min(self.next + PIECE);
        for place in self.next..end {
            piece.extend_from_slice(if place > 0 { b",\n" } else { b"\n" });
            self.items.write(place, &mut piece)?;
        }
        self.next = end;
        if self.is_complete() {
            piece.extend_from_slice(b"\n]}");
        }
        Ok(piece.into())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::{BodySize, MessageBody, to_bytes};
    use serde_json::{Value, json};

    use super::*;

    struct Numbers(usize);

    impl Items for Numbers {
        fn count(&self) -> usize {
            self.0
        }

        fn write(&self, place: usize, to: &mut Vec<u8>) -> serde_json::Result<()> {
            serde_json::to_writer(to, &place)
        }
    }

    #[actix_web::test]
    async fn a_list_of_any_length_is_whole_and_a_short_one_tells_its_length() {
        for count in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let response = answer(Numbers(count));
            assert_eq!(response.headers().get("content-type").unwrap(), "application/json");
            let body = response.into_body();
            let is_sized = matches!(body.size(), BodySize::Sized(_));
            assert_eq!(is_sized, count <= PIECE, "{count}");
            let text = to_bytes(body).await.unwrap();
            let expected: Vec<usize> = (0..count).collect();
            let lines = String::from_utf8(text.to_vec()).unwrap();
            let (first, last) = ("{\"items\":[", "]}");
            let items = lines.lines().filter(|line| ![first, last].contains(line));
            let items: Vec<usize> = items.map(|line| line.trim_end_matches(',').parse().unwrap()).collect();
            assert_eq!(items, expected, "{count}: an item is a line");
            assert_eq!(
                serde_json::from_slice::<Value>(&text).unwrap(),
                json!({ "items": expected }),
                "{count}"
            );
        }
    }
}
