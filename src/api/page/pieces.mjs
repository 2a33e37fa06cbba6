// What the details of containers, VMs and the cluster are made of.

import { make } from './dom.mjs';
import { duration, moment, plain, timeOfDay } from './text.mjs';
import { model } from './model.mjs';
import { now } from './client.mjs';
import { factsOf, inWords } from './log.mjs';
import { ORDERS, confirmOrder } from './order.mjs';

export function section(title, ...children) {
  return make('section', {}, make('h3', {}, title), children);
}

export function age(at) {
  return at ? `${duration((now() - at) / 1000)} ago, at ${timeOfDay(at)}` : '';
}

export function orderButtons(kinds, row, detail) {
  // Who orders something is told how the VM is then.
  const present = () => model.byInstance.get(row.id) ?? row;
  return make(
    'p',
    { class: 'orders' },
    kinds.map(kind =>
      make(
        'button',
        {
          class: ORDERS[kind].isHard ? 'order hard' : 'order',
          disabled: row.behavior === kind,
          onclick: () => confirmOrder(kind, present(), detail.changed),
        },
        ORDERS[kind].name,
      ),
    ),
  );
}

export function gateInWords(creates) {
  if (!creates) return 'not known';
  if (creates.state === 'open') return 'one may be created';
  const until = moment(creates.until) ? `, until ${timeOfDay(moment(creates.until))}` : '';
  const cloud = creates.cloud ? `. The cloud says: ${plain(creates.cloud.message)} (${plain(creates.cloud.code)})` : '';
  return `${creates.state.replaceAll('_', ' ')}: ${creates.because ?? ''}${until}${cloud}`;
}

export function table(head, rows) {
  return make(
    'table',
    {},
    make(
      'thead',
      {},
      make(
        'tr',
        {},
        head.map(name => make('th', { scope: 'col' }, name)),
      ),
    ),
    make('tbody', {}, rows),
  );
}

// Events, the latest first.
export function eventList(events, detail) {
  if (!events.length) return make('p', { class: 'muted' }, 'None is remembered.');
  const shown = [...events].reverse().map(event =>
    make(
      'li',
      { class: event.level },
      make('span', { class: 'time' }, event.time ? timeOfDay(Date.parse(event.time)) : ''),
      make('button', { class: 'link what', onclick: () => detail.open('event', event) }, event.msg),
      make(
        'span',
        { class: 'more' },
        factsOf(event)
          .filter(([key, value]) => LISTED.has(key) && value !== detail.subject)
          .map(inWords)
          .join(' · '),
      ),
    ),
  );
  return make('ol', { class: 'event-list' }, shown);
}

const LISTED = new Set([
  'error',
  'Reason',
  'Hint',
  'Duration',
  'State',
  'By',
  'IdleBehavior',
  'Instance',
  'ContainerUUID',
]);

// How to find more in the log of the service.
export function logHint(parameter, key, id) {
  const option = parameter === 'instance_id' ? 'instance' : 'container';
  return section(
    'More of it',
    make(
      'pre',
      { tabindex: 0, 'aria-label': 'Commands that show more' },
      `arvados-dispatch-cloud events --${option} ${id}\n` +
        `journalctl -u arvados-dispatch-cloud -o cat |\n  jq -cR 'fromjson? | select(.${key} == "${id}")'`,
    ),
  );
}

export function sentence(words) {
  const text = plain(words);
  return text && `${capital(text)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
