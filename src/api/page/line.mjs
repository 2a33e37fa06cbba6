// The line: the containers that wait, in their order, each with its reason. With a search, all containers.

import { byId, make, mark, say } from './dom.mjs';
import { count, duration, reasonInWords, reasonName, size } from './text.mjs';
import { isWaiting, matches, model, tally } from './model.mjs';
import { now } from './client.mjs';
import { Pane } from './pane.mjs';

// From that width on a container is one line with columns; below it, two lines.
const WIDE = 780;

// What somebody has to look at, in contrast to what passes by itself.
const BAD = new Set(['no_suitable_type', 'undecodable', 'starts_fail', 'set_back', 'hands_off']);
const GOOD = new Set(['allocated', 'booting', 'running', 'complete']);

function toneOf(reason) {
  if (BAD.has(reason)) return 'bad';
  return GOOD.has(reason) ? 'good' : 'wait';
}

export function needs(row) {
  const gpus = row.gpus ? `, ${count(row.gpus, 'GPU')}` : '';
  return `${count(row.vcpus, 'CPU')}, ${size(row.ram)}${gpus}`;
}

// The part of a uuid that tells it from others.
export function tailOf(uuid) {
  return uuid.slice(uuid.lastIndexOf('-') + 1);
}

export class Line {
  constructor(open) {
    this.reason = '';
    this.pane = new Pane(byId('line'), {
      makeRow: makeContainerRow,
      fillRow: fillContainerRow,
      open: row => open('container', row.id),
    });
    new ResizeObserver(() => this.isWide() !== this.wasWide && this.show()).observe(byId('line'));
  }

  isWide() {
    return byId('line').clientWidth >= WIDE;
  }

  // Shows the model, as far as it has the searched words.
  show(words = this.words ?? []) {
    this.words = words;
    const waiting = model.containers.filter(isWaiting);
    const reasons = tally(waiting, row => row.reason);
    if (!reasons.has(this.reason)) this.reason = '';
    const all = words.length ? model.containers.filter(row => matches(row, words)) : waiting;
    const shown = this.reason ? all.filter(row => row.reason === this.reason) : all;
    this.wasWide = this.isWide();
    const height = this.wasWide ? 30 : 46;
    byId('line').parentElement.classList.toggle('wide', this.wasWide);
    this.pane.set(shown.map(row => ({ kind: 'container', height, cells: [row] })));
    this.showReasons(reasons);
    say(byId('line-count'), countsOf(waiting, shown, words));
    byId('line-nothing').hidden = shown.length > 0 || !model.toldAt;
    say(byId('line-nothing'), words.length ? 'No container has these words.' : 'Nothing waits.');
  }

  // Each reason with its number; a click shows those alone.
  showReasons(reasons) {
    const place = byId('reasons');
    const wanted = [...reasons].map(([reason, number]) => `${reason} ${number}`).join() + this.reason;
    if (place.dataset.shown === wanted) return;
    place.dataset.shown = wanted;
    const hadFocus = place.contains(document.activeElement) ? document.activeElement.dataset.reason : null;
    place.replaceChildren(
      ...[...reasons].map(([reason, number]) => {
        const choose = () => {
          this.reason = this.reason === reason ? '' : reason;
          this.show();
        };
        return make(
          'button',
          {
            class: `chip ${toneOf(reason)}`,
            'aria-pressed': String(this.reason === reason),
            'data-reason': reason,
            onclick: choose,
            title: reasonInWords(reason),
          },
          make('b', {}, String(number)),
          ` ${reasonName(reason)}`,
        );
      }),
    );
    if (hadFocus) place.querySelector(`[data-reason="${CSS.escape(hadFocus)}"]`)?.focus();
  }
}

function countsOf(waiting, shown, words) {
  if (words.length) return `${shown.length} of ${count(model.containers.length, 'container')}`;
  return shown.length < waiting.length
    ? `${shown.length} of ${waiting.length} waiting`
    : `${waiting.length.toLocaleString('en')} waiting`;
}

function makeContainerRow() {
  const parts = {
    position: make('span', { class: 'position' }),
    id: make('span', { class: 'id' }),
    why: make('span', { class: 'why' }),
    needs: make('span', { class: 'needs' }),
    type: make('span', { class: 'type' }),
    age: make('span', { class: 'age' }),
  };
  const option = make('div', { class: 'container-row' }, Object.values(parts));
  return Object.assign(make('div', { role: 'presentation' }, option), { parts, option });
}

function fillContainerRow(element, { cells: [row] }) {
  const { parts, option } = element;
  const words = reasonInWords(row.reason, row.cause);
  const age = row.since ? duration((now() - row.since) / 1000) : '';
  say(parts.position, row.position ? String(row.position) : '·');
  say(parts.id, tailOf(row.id));
  say(parts.why, row.error ? `${words}: ${row.error}` : words);
  mark(parts.why, 'class', `why ${toneOf(row.reason)}`);
  say(parts.needs, row.vcpus ? needs(row) : '');
  say(parts.type, row.type);
  say(parts.age, age);
  mark(option, 'title', `${row.id}\n${row.status || words}`);
  return [option];
}
