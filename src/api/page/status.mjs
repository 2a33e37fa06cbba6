// The cluster in detail: each check of its health, pauses, and what may be created. And an event with all its facts.

import { facts, make } from './dom.mjs';
import { duration, moment, plain, price, timeOfDay } from './text.mjs';
import { model } from './model.mjs';
import { factsOf, isTrouble } from './log.mjs';
import { age, capital, eventList, gateInWords, section, sentence, table } from './pieces.mjs';

export function statusBody(_, detail) {
  const { creates, health } = model;
  const pauses = [
    ...creates.pauses.map(pause => [pause.scope, `paused until ${timeOfDay(moment(pause.until))}`, pause]),
    ...creates.drained.map(type => [type.instance_type, 'drained', type]),
  ];
  const types = creates.items.map(type =>
    make(
      'tr',
      {},
      make('th', { scope: 'row' }, type.instance_type),
      make('td', { class: 'number' }, price(type.price)),
      make('td', { class: 'number' }, String(type.instances)),
      make('td', {}, gateInWords(type.creates)),
    ),
  );
  const who = ({ by, reason, since }) => [by && `by ${by}`, reason, age(moment(since))].filter(Boolean).join(', ');
  return [
    section(
      'Health',
      facts([
        ['Ready', health ? (health.ready ? 'yes' : `no: ${health.errors.join('; ')}`) : ''],
        ...Object.entries(health?.checks ?? {}).map(([name, check]) => [
          capital(name.replaceAll('_', ' ')),
          checkInWords(check),
        ]),
      ]),
    ),
    section(
      'Pauses and drained types',
      pauses.length
        ? facts(pauses.map(([scope, state, note]) => [scope, [state, who(note)].filter(Boolean).join(', ')]))
        : make('p', { class: 'muted' }, 'Operators have paused nothing, and drained no type.'),
    ),
    section('What may be created', table(['Type', 'Per hour', 'VMs', 'Creates'], types)),
    section('The latest warnings', eventList(detail.log.events.filter(isTrouble).slice(-20), detail)),
  ];
}

function checkInWords(check) {
  const { ok, error, age_seconds: seconds, limit_seconds: limit, connected, silent, silent_seconds: quiet } = check;
  if (connected !== undefined)
    return `${connected ? 'connected' : 'not connected'}${quiet ? `, silent for ${duration(quiet)}` : ''}`;
  if (seconds !== undefined)
    return `${ok ? 'well' : 'late'}: the last success was ${duration(seconds)} ago (limit ${duration(limit)})`;
  return ok ? 'well' : plain(error ?? silent) || 'no';
}

export function eventBody(event, detail) {
  const pairs = factsOf(event).map(([key, value]) => {
    if (key === 'ContainerUUID') return ['Container', detail.link('container', value)];
    if (key === 'Instance') return ['VM', detail.link('instance', value)];
    return [key, value];
  });
  return [
    make('p', { class: 'answer' }, sentence(event.msg)),
    facts([
      ['Time', event.time ? `${timeOfDay(Date.parse(event.time))} (${event.time})` : ''],
      ['Level', event.level],
      ['Number', String(event.seq)],
      ...pairs,
    ]),
  ];
}
