// A list of any length of which only what is in sight is in the document, with a cursor for the keyboard.
//
//   rows: [{ kind, height, cells: [{ id, … }] }]     a row without cells is a heading
//   makeRow(kind) ─► an element      fillRow(element, row) ─► the elements of its cells, in order
//
// To a screen reader it is a list box: the focus stays on the list, and the cursor says which option is meant. So nothing
// is lost when a row leaves the sight, or the list is told anew.

import { make, mark } from './dom.mjs';

// How many pixels beyond the sight are drawn.
const BEYOND = 120;

export class Pane {
  constructor(scroller, { makeRow, fillRow, open, keepsPlace = false }) {
    Object.assign(this, { scroller, makeRow, fillRow, open, keepsPlace });
    this.rows = [];
    this.tops = [0];
    this.cells = [];
    this.places = new Map();
    this.cursor = null;
    this.shown = new Map();
    this.spare = new Map();
    this.space = make('div', { class: 'space', role: 'presentation' });
    scroller.append(this.space);
    scroller.addEventListener('scroll', () => this.drawSoon(), { passive: true });
    scroller.addEventListener('keydown', event => this.key(event));
    scroller.addEventListener('click', event => this.click(event));
    scroller.addEventListener('focus', () => this.cursor ?? this.move(0));
    new ResizeObserver(() => this.drawSoon()).observe(scroller);
  }

  set(rows) {
    const anchor = this.keepsPlace && this.scroller.scrollTop > 0 ? this.anchor() : null;
    this.rows = rows;
    this.tops = new Float64Array(rows.length + 1);
    this.cells = [];
    this.places.clear();
    rows.forEach((row, index) => {
      this.tops[index + 1] = this.tops[index] + row.height;
      row.first = this.cells.length;
      for (const cell of row.cells) {
        this.places.set(cell.id, { index: this.cells.length, row: index });
        this.cells.push(cell);
      }
    });
    this.space.style.height = `${this.tops[rows.length]}px`;
    const place = anchor && this.places.get(anchor.id);
    if (place) this.scroller.scrollTop = this.tops[place.row] + anchor.offset;
    this.draw();
  }

  // The first row in sight, and how far it is scrolled.
  anchor() {
    const row = this.rowAt(this.scroller.scrollTop);
    const cell = this.rows[row]?.cells[0];
    return cell && { id: cell.id, offset: this.scroller.scrollTop - this.tops[row] };
  }

  // The row at that height, by halving.
  rowAt(top) {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] <= top) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  drawSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const { scrollTop, clientHeight } = this.scroller;
    const first = this.rowAt(Math.max(0, scrollTop - BEYOND));
    const end = Math.min(this.rows.length, this.rowAt(scrollTop + clientHeight + BEYOND) + 1);
    for (const [index, element] of this.shown) {
      const isStill = index >= first && index < end && this.rows[index].kind === element.kind;
      if (!isStill) this.putAway(index, element);
    }
    for (let index = first; index < end; index += 1) this.drawRow(index);
    this.tellCursor();
  }

  putAway(index, element) {
    this.shown.delete(index);
    element.hidden = true;
    if (!this.spare.has(element.kind)) this.spare.set(element.kind, []);
    this.spare.get(element.kind).push(element);
  }

  drawRow(index) {
    const row = this.rows[index];
    const element = this.shown.get(index) ?? this.takeOut(row.kind);
    this.shown.set(index, element);
    element.hidden = false;
    element.style.height = `${row.height}px`;
    element.style.transform = `translateY(${this.tops[index]}px)`;
    const cells = this.fillRow(element, row);
    cells.forEach((cell, nth) => this.drawCell(cell, row.first + nth));
  }

  drawCell(cell, at) {
    if (cell.at !== at) {
      cell.at = at;
      mark(cell, 'role', 'option');
      mark(cell, 'id', `${this.scroller.id}-${at}`);
      mark(cell, 'aria-posinset', at + 1);
    }
    mark(cell, 'aria-setsize', this.cells.length);
    mark(cell, 'aria-selected', String(this.cells[at].id === this.cursor));
  }

  takeOut(kind) {
    const spare = this.spare.get(kind)?.pop();
    if (spare) return spare;
    const element = this.makeRow(kind);
    element.kind = kind;
    element.classList.add('row');
    this.space.append(element);
    return element;
  }

  tellCursor() {
    const place = this.places.get(this.cursor);
    const isDrawn = place && this.shown.has(place.row);
    mark(this.scroller, 'aria-activedescendant', isDrawn ? `${this.scroller.id}-${place.index}` : null);
  }

  // Moves the cursor to that cell, and brings it into sight.
  move(index) {
    const cell = this.cells[Math.max(0, Math.min(this.cells.length - 1, index))];
    if (!cell) return;
    this.cursor = cell.id;
    const { row } = this.places.get(cell.id);
    const { scrollTop, clientHeight } = this.scroller;
    if (this.tops[row] < scrollTop) this.scroller.scrollTop = this.tops[row];
    const below = this.tops[row + 1] - clientHeight;
    if (below > scrollTop) this.scroller.scrollTop = below;
    this.draw();
  }

  // The cell in the same column of the next row that has cells, upwards or downwards.
  across(index, step) {
    const from = this.places.get(this.cells[index].id).row;
    for (let row = from + step; this.rows[row]; row += step) {
      const { first, cells } = this.rows[row];
      if (cells.length) return first + Math.min(cells.length - 1, index - this.rows[from].first);
    }
    return index;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.cells.length) return;
    const at = this.places.get(this.cursor)?.index ?? 0;
    const page = Math.max(1, this.shown.size - 4);
    const many = step => {
      let index = at;
      for (let n = 0; n < page; n += 1) index = this.across(index, step);
      return index;
    };
    const moves = {
      ArrowDown: () => this.across(at, 1),
      ArrowUp: () => this.across(at, -1),
      ArrowRight: () => at + 1,
      ArrowLeft: () => at - 1,
      PageDown: () => many(1),
      PageUp: () => many(-1),
      Home: () => 0,
      End: () => this.cells.length - 1,
    };
    if (Object.hasOwn(moves, event.key)) this.move(this.places.has(this.cursor) ? moves[event.key]() : 0);
    else if (event.key === 'Enter' && this.places.has(this.cursor)) this.open(this.cells[at]);
    else return;
    event.preventDefault();
  }

  click(event) {
    const cell = this.cells[event.target.closest('[role="option"]')?.at];
    if (!cell) return;
    this.move(this.places.get(cell.id).index);
    this.open(cell);
  }
}
