//! Which row of a list is selected, and which rows are in sight.

/// A place in a list. It stays with what is selected when rows come and go around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// What is selected.
    key: String,
    /// Its place, or the place where it was.
    pub(super) at: usize,
    /// The first row in sight.
    pub(super) top: usize,
    /// Whether it stays at the end while rows are added there.
    is_at_end: bool,
    follows_end: bool,
}

impl Cursor {
    /// Of a list that is read from its beginning.
    pub fn at_the_top() -> Self {
        Self::default()
    }

    /// Of a list whose end is the news.
    pub fn at_the_end() -> Self {
        Self { is_at_end: true, follows_end: true, ..Self::default() }
    }

    /// Moves by so many rows of a list; the next look at the list sets it right.
    pub fn move_by(&mut self, rows: isize, count: usize) {
        self.go_to(self.at.saturating_add_signed(rows), count);
    }

    /// Moves to a row, at most the last one.
    pub fn go_to(&mut self, at: usize, count: usize) {
        self.at = at.min(count.saturating_sub(1));
        self.is_at_end = self.follows_end && self.at + 1 >= count;
        self.key.clear();
    }

    /// The same cursor in a list that may have changed, of so many rows, of which so many are in sight.
    pub fn kept(mut self, count: usize, key: impl Fn(usize) -> String, height: usize) -> Self {
        let last = count.saturating_sub(1);
        if self.is_at_end {
            self.at = last;
        } else if !self.key.is_empty() {
            let is_there = self.at < count && key(self.at) == self.key;
            let moved = || (0..count).find(|at| key(*at) == self.key);
            self.at = if is_there { self.at } else { moved().unwrap_or(self.at) };
        }
        self.at = self.at.min(last);
        self.key = if count == 0 { String::new() } else { key(self.at) };
        let height = height.max(1);
        self.top = self.top.clamp((self.at + 1).saturating_sub(height), self.at);
        // No empty rows below the list while there are rows above.
        self.top = self.top.min(count.saturating_sub(height));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(cursor: Cursor, rows: &[&str], height: usize) -> Cursor {
        cursor.kept(rows.len(), |at| rows[at].to_owned(), height)
    }

    #[test]
    fn it_stays_with_what_is_selected_when_rows_come_and_go() {
        let mut cursor = kept(Cursor::at_the_top(), &["a", "b", "c"], 2);
        cursor.move_by(1, 3);
        let cursor = kept(cursor, &["a", "b", "c"], 2);
        assert_eq!((cursor.at, cursor.top), (1, 0));
        let cursor = kept(cursor, &["x", "y", "a", "b", "c"], 2);
        assert_eq!((cursor.at, cursor.top), (3, 2));
        let cursor = kept(cursor, &["x", "y", "a"], 2);
        assert_eq!((cursor.at, cursor.key.as_str()), (2, "a"), "what it was on is gone");
        let cursor = kept(cursor, &[], 2);
        assert_eq!((cursor.at, cursor.top), (0, 0));
    }

    #[test]
    fn it_never_leaves_the_list_nor_the_screen() {
        let rows: Vec<_> = (0..100).map(|it| it.to_string()).collect();
        let rows: Vec<_> = rows.iter().map(String::as_str).collect();
        let mut cursor = kept(Cursor::at_the_top(), &rows, 10);
        for (by, at, top) in [(-5, 0, 0), (12, 12, 3), (-2, 10, 3), (500, 99, 90), (-98, 1, 1), (-1, 0, 0)] {
            cursor.move_by(by, 100);
            cursor = kept(cursor, &rows, 10);
            assert_eq!((cursor.at, cursor.top), (at, top), "{by}");
        }
    }

    #[test]
    fn at_the_end_it_follows_the_news_and_elsewhere_it_stays() {
        let mut cursor = kept(Cursor::at_the_end(), &["a", "b"], 2);
        cursor = kept(cursor, &["a", "b", "c"], 2);
        assert_eq!((cursor.at, cursor.top), (2, 1));
        cursor.move_by(-1, 3);
        cursor = kept(cursor, &["a", "b", "c"], 2);
        cursor = kept(cursor, &["b", "c", "d"], 2);
        assert_eq!((cursor.at, cursor.key.as_str()), (0, "b"), "{cursor:?}");
        cursor.go_to(9, 3);
        cursor = kept(cursor, &["b", "c", "d", "e"], 2);
        assert_eq!(cursor.at, 3);
    }
}
