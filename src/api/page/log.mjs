// The events as they come, the latest on top.

import { byId, make, mark, say } from './dom.mjs';
import { count, plain, timeOfDay } from './text.mjs';
import { tailOf } from './line.mjs';
import { Pane } from './pane.mjs';

// How many are kept here; the service keeps more.
const KEPT = 1000;
const EVENT_HEIGHT = 46;
const HEAD = new Set(['time', 'level', 'msg', 'seq', 'boot', 'id', 'text']);
// What a line leaves out: it is in the event's details.
const UNTOLD = new Set(['ContainerUUID', 'RequestID', 'remoteAddr', 'Address', 'InstanceTypes', 'Priority']);
// What is told of an event first.
const FIRST = ['error', 'Reason', 'Hint', 'Instance'];

export class EventLog {
  constructor(open) {
    this.events = [];
    this.words = [];
    this.isForTrouble = false;
    this.pane = new Pane(byId('events'), {
      makeRow: makeEventRow,
      fillRow: fillEventRow,
      open: event => open('event', event),
      keepsPlace: true,
    });
    byId('trouble').addEventListener('click', () => {
      this.isForTrouble = !this.isForTrouble;
      mark(byId('trouble'), 'aria-pressed', String(this.isForTrouble));
      this.show();
    });
  }

  take(event) {
    event.id = `${event.boot}:${event.seq}`;
    event.text = plain(Object.values(event)).toLowerCase();
    this.events.push(event);
    if (this.events.length > 2 * KEPT) this.events.splice(0, this.events.length - KEPT);
  }

  show(words = this.words) {
    this.words = words;
    const isWanted = event =>
      (!this.isForTrouble || isTrouble(event)) && words.every(word => event.text.includes(word));
    const shown = this.events.slice(-KEPT).filter(isWanted).reverse();
    this.pane.set(shown.map(event => ({ kind: 'event', height: EVENT_HEIGHT, cells: [event] })));
    say(byId('events-count'), shown.length < KEPT ? count(shown.length, 'event') : `the last ${count(KEPT, 'event')}`);
    byId('events-nothing').hidden = shown.length > 0;
  }

  // Those about a thing, the latest first.
  about(key, id) {
    return this.events.filter(event => event[key] === id).reverse();
  }
}

export function isTrouble(event) {
  return event.level === 'warning' || event.level === 'error' || event.level === 'critical';
}

// The facts of an event as pairs, what matters most first.
export function factsOf(event) {
  const facts = Object.entries(event).filter(([key, value]) => !HEAD.has(key) && plain(value));
  const rank = key => (FIRST.includes(key) ? FIRST.indexOf(key) : FIRST.length);
  return facts.map(([key, value]) => [key, plain(value)]).sort(([a], [b]) => rank(a) - rank(b));
}

// An instance needs no name for what it is.
export function inWords([key, value]) {
  return key === 'Instance' ? value : `${key} ${value}`;
}

function makeEventRow() {
  const parts = {
    time: make('span', { class: 'time' }),
    what: make('span', { class: 'what' }),
    whom: make('span', { class: 'id' }),
    more: make('span', { class: 'more' }),
  };
  const option = make('div', { class: 'event-row' }, Object.values(parts));
  return Object.assign(make('div', { role: 'presentation' }, option), { parts, option });
}

function fillEventRow({ parts, option }, { cells: [event] }) {
  const whom = event.ContainerUUID ? tailOf(event.ContainerUUID) : (event.Instance ?? event.InstanceType ?? '');
  const more = factsOf(event).filter(([key, value]) => !UNTOLD.has(key) && value !== whom);
  say(parts.time, event.time ? timeOfDay(Date.parse(event.time)) : '');
  say(parts.what, event.msg);
  say(parts.whom, whom);
  say(parts.more, more.map(inWords).join(' · '));
  mark(option, 'class', `event-row ${event.level}`);
  mark(option, 'title', isTrouble(event) && event.level);
  return [option];
}
