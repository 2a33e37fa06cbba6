// The fleet: a tile for each VM, grouped by type. Its colour says what it does, its filled part how full it is.

import { byId, make, mark, say } from './dom.mjs';
import { count, duration, price, size } from './text.mjs';
import { matches, model, tally } from './model.mjs';
import { now } from './client.mjs';
import { Pane } from './pane.mjs';

// In pixels: the height of a group's heading, and of its line about creates; the sizes of tiles with their gaps. Large
// tiles fill the room that they have.
const HEADING = 30;
const GATE = 18;
const LARGE = { name: 'large', width: 132, height: 62 };
const SMALL = { name: 'small', width: 24, height: 24 };
// With more VMs than that, tiles are small unless their reader wants it otherwise.
const MANY = 80;

export class Fleet {
  constructor(open) {
    this.size = null;
    this.pane = new Pane(byId('fleet'), {
      makeRow: makeFleetRow,
      fillRow: fillFleetRow,
      open: row => open('instance', row.id),
    });
    new ResizeObserver(() => this.width !== byId('fleet').clientWidth && this.show()).observe(byId('fleet'));
    // A small tile has no room for words: they are shown to a pointer that rests on it.
    byId('fleet').addEventListener('pointerover', ({ target }) => {
      if (target.matches('.small .tile')) target.title = target.getAttribute('aria-label');
    });
    byId('tile-size').addEventListener('click', () => {
      this.size = this.tiles() === LARGE ? SMALL : LARGE;
      this.show();
    });
  }

  tiles() {
    return this.size ?? (model.instances.length > MANY ? SMALL : LARGE);
  }

  show(words = this.words ?? []) {
    this.words = words;
    this.width = byId('fleet').clientWidth;
    const tiles = this.tiles();
    const room = this.width - 16;
    const columns = Math.max(1, Math.floor(room / tiles.width));
    byId('fleet').style.setProperty('--tile', tiles === LARGE ? `${Math.floor(room / columns)}px` : null);
    const shown = words.length ? model.instances.filter(row => matches(row, words)) : model.instances;
    const rows = [];
    for (const [type, members] of groups(shown)) {
      const height = gateOf(model.types.get(type)) ? HEADING + GATE : HEADING;
      rows.push({ kind: 'heading', height, cells: [], type, members });
      for (let at = 0; at < members.length; at += columns) {
        rows.push({ kind: tiles.name, height: tiles.height, cells: members.slice(at, at + columns) });
      }
    }
    this.pane.set(rows);
    const total = model.instances.length;
    say(byId('fleet-count'), shown.length < total ? `${shown.length} of ${count(total, 'VM')}` : count(total, 'VM'));
    say(byId('tile-size'), tiles === LARGE ? 'Small tiles' : 'Large tiles');
    byId('fleet-nothing').hidden = shown.length > 0 || !model.toldAt;
    say(byId('fleet-nothing'), words.length ? 'No VM has these words.' : 'There is no VM.');
  }
}

// The VMs of each type, in the order of the configuration; types that are not configured come last.
function groups(instances) {
  const groups = new Map([...model.types.keys()].map(type => [type, []]));
  for (const row of instances) {
    if (!groups.has(row.type)) groups.set(row.type, []);
    groups.get(row.type).push(row);
  }
  for (const members of groups.values()) members.sort((a, b) => a.since - b.since || (a.id < b.id ? -1 : 1));
  return [...groups].filter(([, members]) => members.length);
}

function makeFleetRow(kind) {
  if (kind !== 'heading') return make('div', { class: `tiles ${kind}`, role: 'presentation' });
  const parts = { name: make('b'), facts: make('span', { class: 'muted' }), gate: make('span', { class: 'gate' }) };
  return Object.assign(make('div', { class: 'group', role: 'presentation' }, Object.values(parts)), { parts });
}

function fillFleetRow(element, row) {
  if (row.kind === 'heading') return fillHeading(element, row);
  while (element.children.length < row.cells.length) element.append(makeTile(row.kind));
  const tiles = [...element.children];
  tiles.forEach((tile, nth) => {
    tile.hidden = nth >= row.cells.length;
    if (!tile.hidden) fillTile(tile, row.cells[nth], row.kind);
  });
  return tiles.slice(0, row.cells.length);
}

function fillHeading({ parts }, { type, members }) {
  const it = model.types.get(type);
  const states = [...tally(members, stateOf)].map(([state, number]) => `${number} ${state}`).join(', ');
  const facts = it
    ? `${count(it.vcpus, 'CPU')}, ${size(it.ram)}, ${price(it.price)}/h${it.preemptible ? ', spot' : ''} · `
    : '';
  say(parts.name, type || 'unknown type');
  say(parts.facts, facts + states);
  say(parts.gate, gateOf(it));
  return [];
}

// Why no VM of a type is created now; the empty text if one may be.
function gateOf(type) {
  return !type || type.creates.state === 'open'
    ? ''
    : `none is created now: ${type.creates.because ?? type.creates.state}`;
}

// What a VM does, in one word.
export function stateOf(row) {
  if (row.isCreating) return 'being created';
  if (row.behavior === 'hold') return row.containers.length ? 'on hold, busy' : 'on hold';
  if (row.state === 'shutdown') return 'ending';
  if (row.behavior === 'drain') return 'draining';
  return row.containers.length ? 'busy' : row.state;
}

// A tile's look.
function lookOf(row) {
  if (row.behavior === 'hold') return 'hold';
  if (row.state === 'shutdown' || row.behavior === 'drain') return 'ending';
  return row.category;
}

function makeTile(kind) {
  const parts = {
    fill: make('span', { class: 'fill' }),
    id: make('span', { class: 'id' }),
    state: make('span', { class: 'state' }),
    facts: make('span', { class: 'facts-line' }),
  };
  const shown = kind === 'large' ? Object.values(parts) : [parts.fill];
  return Object.assign(make('div', { class: 'tile' }, shown), { parts });
}

function fillTile(tile, row, kind) {
  const { parts } = tile;
  const state = stateOf(row);
  const share = `${Math.round(row.full * 100)}%`;
  mark(tile, 'class', `tile ${lookOf(row)}`);
  if (tile.share !== share) {
    tile.share = share;
    parts.fill.style.setProperty('--full', share);
  }
  const full = row.full ? `, ${share} full` : '';
  const label = `${row.id}, ${row.type}: ${state}${full}, ${price(row.price)} an hour`;
  if (kind === 'small') return mark(tile, 'aria-label', label);
  const age = row.since ? duration((now() - row.since) / 1000) : '';
  say(parts.id, row.isCreating ? '…' : shortId(row.id));
  say(parts.state, row.containers.length > 1 ? `${state} · ${row.containers.length}` : state);
  say(parts.facts, `${age} · ${price(row.price)}/h`);
  return mark(tile, 'title', label);
}

// The end of a long id: clouds' ids begin alike.
function shortId(id) {
  return id.length > 12 ? `…${id.slice(-9)}` : id;
}
