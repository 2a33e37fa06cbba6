//! Which part of the screen shows what. The model needs to know how many rows are in sight, and the renderer where.

use ratatui::layout::Rect;
pub(super) use ratatui::layout::Size;

use super::model::Model;

/// With less than this nothing can be shown.
pub(super) const SMALLEST: Size = Size { width: 60, height: 14 };

const HEADER: u16 = 3;

/// The parts, from above; each but the body has one or a few lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Areas {
    pub(super) header: Rect,
    /// Of no height if nothing is to be warned of.
    pub(super) warning: Rect,
    pub(super) views: Rect,
    /// The names of columns, or the title of a pane.
    pub(super) columns: Rect,
    pub(super) body: Rect,
    /// More about what is selected, what has come of an order, or a question.
    pub(super) note: Rect,
    /// The keys, or what is being typed.
    pub(super) keys: Rect,
}

impl Areas {
    /// How many rows of a list are in sight.
    pub fn body_rows(&self) -> usize {
        self.body.height.into()
    }
}

/// For the model as it is.
pub(super) fn of(model: &Model) -> Areas {
    let Size { width, height } = model.size;
    let warning = u16::from(model.warning().is_some());
    let mut top = 0;
    let mut take = |rows: u16| {
        let rows = rows.min(height.saturating_sub(top));
        let area = Rect { x: 0, y: top, width, height: rows };
        top += rows;
        area
    };
    let chrome = HEADER + warning + 4;
    Areas {
        header: take(HEADER),
        warning: take(warning),
        views: take(1),
        columns: take(1),
        body: take(height.saturating_sub(chrome)),
        note: take(1),
        keys: take(1),
    }
}
