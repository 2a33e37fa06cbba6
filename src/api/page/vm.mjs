// A VM in detail: what it does, what is to happen with it, and what has happened.

import { facts, make } from './dom.mjs';
import { count, price, size } from './text.mjs';
import { model } from './model.mjs';
import { eachEvent } from './client.mjs';
import { stateOf } from './fleet.mjs';
import { age, eventList, logHint, orderButtons, section, sentence } from './pieces.mjs';

// How many events of it are asked for.
const SHOWN_EVENTS = 100;

// What `renewal` says of an instance, in the words of its log lines; `drifted` alone is one whose turn has not come.
const RENEWALS = {
  drift: 'being renewed: it would be made otherwise today',
  age: 'being renewed: it is older than MaxInstanceAge',
};

function renewalOf(row) {
  return RENEWALS[row.renewal] ?? (row.drifted ? 'it would be made otherwise today; its turn has not come' : row.renewal);
}

export async function instanceBody(id, detail) {
  const events = [];
  if (!model.byInstance.get(id)?.isCreating) {
    await eachEvent({ last: SHOWN_EVENTS, instance_id: id }, event => events.push(event));
  }
  const row = model.byInstance.get(id);
  const head = make('p', { class: 'subject id' }, id);
  const told = section('Events', eventList(events, detail));
  if (!row)
    return [head, make('p', { class: 'answer' }, 'This VM is not in the fleet. It has ended, or never was.'), told];
  const type = model.types.get(row.type);
  return [
    head,
    make('p', { class: 'answer' }, sentence(`it is ${stateOf(row)}`)),
    row.isCreating ? null : orderButtons(['hold', 'drain', 'run', 'kill'], row, detail),
    facts([
      ['State', row.state],
      [
        'Behaviour',
        [row.behavior, row.by && `by ${row.by}`, row.orderedAt && age(row.orderedAt)].filter(Boolean).join(', '),
      ],
      ['Reason', row.why],
      ['Containers', detail.links('container', row.containers)],
      ['Full', row.containers.length ? `${Math.round(row.full * 100)} % of its CPUs or memory` : ''],
      [
        'Last container',
        row.lastContainer && !row.containers.length ? detail.link('container', row.lastContainer) : '',
      ],
      ['Last busy', age(row.lastBusy)],
      ['Appeared', age(row.since)],
      ['Launched', row.launchedAt ? age(row.launchedAt) : ''],
      ['Renewal', renewalOf(row)],
      ['The cloud says', row.notice],
      ['Reserve', row.isSpare ? 'kept as a spare one (IdleReserve)' : ''],
      ['Type', type ? `${row.type}: ${count(type.vcpus, 'CPU')}, ${size(type.ram)}` : row.type],
      ['Cloud calls it', row.providerType],
      ['Costs an hour', price(row.price)],
      ['Address', row.address],
    ]),
    told,
    row.isCreating ? null : logHint('instance_id', 'Instance', id),
  ];
}
