// Orders: hold, drain, run and kill, each with a reason and a confirmation.

import { announce, byId, say } from './dom.mjs';
import { order } from './client.mjs';
import { count } from './text.mjs';

const BY_KEY = 'operator';

// What each order does, in its button and in the question.
export const ORDERS = {
  hold: {
    name: 'Hold',
    effect: 'It gets nothing new, and is kept until somebody orders something else. It goes on costing money.',
  },
  drain: { name: 'Drain', effect: 'It gets nothing new, and is shut down when it is empty.' },
  run: { name: 'Run', effect: 'It is used like any other again.' },
  kill: { name: 'Kill', effect: 'It is shut down now, whatever runs on it.', isHard: true },
  killContainer: {
    name: 'Kill',
    effect: 'Its processes are ended now. Its user sees that it was cancelled, unless it is tried again.',
    isHard: true,
  },
};

let wanted = null;
let done = () => {};

// Asks for the reason, and for a confirmation. `then` is called when it is done.
export function confirmOrder(kind, row, then) {
  const isContainer = kind === 'killContainer';
  wanted = { kind, row, isContainer };
  done = then;
  const { name, effect, isHard } = ORDERS[kind];
  say(byId('order-title'), `${name} ${row.id}?`);
  say(byId('order-effect'), effect);
  say(byId('order-warning'), warnings(kind, row, isContainer).join(' '));
  say(byId('order-confirm'), `${name} it`);
  byId('order-confirm').classList.toggle('hard', Boolean(isHard));
  byId('order-reason').value = '';
  byId('order-by').value = sessionStorage.getItem(BY_KEY) ?? '';
  say(byId('order-error'), '');
  byId('order').showModal();
  byId('order-reason').focus();
}

function warnings(kind, row, isContainer) {
  if (isContainer) return [];
  const warnings = [];
  if (kind === 'kill' && row.containers.length)
    warnings.push(`${count(row.containers.length, 'container')} on it will be interrupted.`);
  if (row.behavior === 'hold') {
    const why = row.why ? `: “${row.why}”` : '';
    warnings.push(`${row.by || 'Somebody'} has put it on hold${why}.`);
  }
  return warnings;
}

function parameters({ kind, row, isContainer }) {
  const of = isContainer ? { container_uuid: row.id } : { instance_id: row.id };
  // Who confirms has been told of a hold that the page knows, and of no other.
  if (kind === 'drain') Object.assign(of, row.behavior === 'hold' ? { force: '1' } : { if_held: 'refuse' });
  return { ...of, reason: byId('order-reason').value.trim(), by: byId('order-by').value.trim() };
}

async function give(event) {
  event.preventDefault();
  const { kind, row, isContainer } = wanted;
  sessionStorage.setItem(BY_KEY, byId('order-by').value.trim());
  byId('order-confirm').disabled = true;
  say(byId('order-error'), '');
  try {
    await order(isContainer ? 'containers/kill' : `instances/${kind}`, parameters(wanted));
    byId('order').close();
    announce(`${ORDERS[kind].name} ${row.id}: done`);
    done();
  } catch (error) {
    say(byId('order-error'), `It was not done: ${error.message}.`);
  } finally {
    byId('order-confirm').disabled = false;
  }
}

export function prepareOrders() {
  byId('order-form').addEventListener('submit', give);
  byId('order-cancel').addEventListener('click', () => byId('order').close());
}
